"""The bundled sync judge: mouth landmarks against sound, with weights this project trained.

Distance = Euclidean distance between unit vectors, so it lies in 0 ... 2 (0 equal, sqrt(2)
unrelated). An ensemble: the members' unit vectors are concatenated and divided by the root of their
number, which again gives unit vectors. Measured performance: docs/landmark_judge.md.

Shape suffixes: T frames, L landmarks, C coordinates, N samples, W = T - 10 windows, D embedding.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import Doubles, JudgeResult, pair_distances, read_curve
from pipeline.judge.drift import drift_frames
from pipeline.judge.landmark.calibration import Calibration
from pipeline.judge.landmark.features import centred, log_mel, mouth_shape, normalised
from pipeline.judge.landmark.networks import MARGIN_FRAMES, Floats, OnnxNetworks
from pipeline.judge.landmark.weights import WEIGHTS_PATH, load_arrays, load_calibration
from pipeline.tables.rows import SAMPLES_PER_FRAME

DRIFT_MIN_PROBABILITY = 0.5
"""Below this the offset itself is unreliable, and its change along the clip meaningless."""


class Networks(Protocol):
    """What embeds a clip: `OnnxNetworks`, or networks that are being trained."""

    def embed(self, shape_TV: Floats, mel_SM: Floats) -> tuple[Sequence[Floats], Sequence[Floats]]:
        """Return per network unit vectors (T - 10, D) of picture and of sound, for centred mouth
        shapes and normalised log-mels.
        """


class LandmarkJudge:
    """Scores one clip at a time on one CPU thread, so that no result depends on other clips."""

    name = "landmark"

    def __init__(self, networks: Networks, calibration: Calibration | None = None) -> None:
        self.networks = networks
        self.calibration = calibration

    @classmethod
    def load(cls, path: Path = WEIGHTS_PATH) -> "LandmarkJudge":
        """Read the weights.

        Raises:
            WeightsError: the file is absent or is not what the trainer writes.
        """
        calibration = load_calibration(path)
        return cls(OnnxNetworks(load_arrays(path)), calibration)

    def score(self, landmarks_TLC: NDArray[Any], audio_N: NDArray[Any]) -> JudgeResult:
        """Return the audio-visual offset of one clip, its confidence and its drift.

        Args:
            landmarks_TLC: (T, 468, 3) or (T, 106, 3), pixels, 25 fps.
            audio_N: 16 kHz mono, int16 or float; sample 0 belongs to the start of frame 0.
        Raises:
            ValueError: under 11 frames with audio, not a known landmark schema, or not finite.
        """
        frames = min(len(landmarks_TLC), len(audio_N) // SAMPLES_PER_FRAME)
        return self.judge(*self.embed(landmarks_TLC[:frames], audio_N))

    def judge(self, picture_WD: Doubles, sound_WD: Doubles) -> JudgeResult:
        """Do the same from unit vectors, as `embed` returns them."""
        result = read_curve(pair_distances(picture_WD, sound_WD))
        if self.calibration is None:
            return result
        probability = self.calibration.probability(result)
        drift = drift_frames(result.distances) if probability >= DRIFT_MIN_PROBABILITY else None
        return replace(result, probability=probability, drift_frames=drift)

    def embed(self, landmarks_TLC: NDArray[Any], audio_N: NDArray[Any]) -> tuple[Doubles, Doubles]:
        """Return unit vectors of picture and sound, each (T - 10, D): of frames 5 ... T - 6."""
        return self.embed_features(mouth_shape(landmarks_TLC), log_mel(audio_N, len(landmarks_TLC)))

    def embed_features(
        self, shape_TV: NDArray[np.float32], mel_SM: NDArray[np.float32]
    ) -> tuple[Doubles, Doubles]:
        """Do the same from mouth shapes (T, 121) and log-mels (4 T, 40), not yet normalised."""
        if len(shape_TV) <= 2 * MARGIN_FRAMES:
            raise ValueError(f"{len(shape_TV)} frames with sound, {2 * MARGIN_FRAMES + 1} needed")
        picture, sound = self.networks.embed(centred(shape_TV), normalised(mel_SM))
        return _joined(picture), _joined(sound)


def _joined(vectors: Sequence[NDArray[Any]]) -> Doubles:
    """Concatenate unit vectors into a unit vector."""
    joined = np.concatenate(vectors, axis=1).astype(np.float64)
    return np.asarray(joined / np.sqrt(len(vectors)))
