"""The bundled sync judge: mouth landmarks against sound, with weights this project trained.

Distance = Euclidean distance between unit vectors, so it lies in 0 ... 2 (0 equal, sqrt(2)
unrelated). An ensemble: the members' unit vectors are concatenated and divided by the root of their
number, which again gives unit vectors. Measured performance: docs/landmark_judge.md.

Shape suffixes: T frames, L landmarks, C coordinates, N samples, W = T - 10 windows, D embedding.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from pipeline.digest import file_sha256
from pipeline.errors import WeightsError
from pipeline.judge.curve import JudgeResult, pair_distances, read_curve
from pipeline.judge.drift import drift_frames
from pipeline.judge.evidence import EvidenceModel
from pipeline.judge.landmark.calibration import Calibration
from pipeline.judge.landmark.features import centred, log_mel, mouth_shape, normalised
from pipeline.judge.landmark.network import MARGIN_FRAMES, LandmarkSyncNet, NetworkConfig
from pipeline.tables.rows import SAMPLES_PER_FRAME
from pipeline.weights.safetensors_files import METADATA_KEY, write_safetensors

DRIFT_MIN_PROBABILITY = 0.5
"""Below this the offset itself is unreliable, and its change along the clip meaningless."""
WEIGHTS_PATH = Path(__file__).with_name("landmark_judge.safetensors")
Doubles = NDArray[np.float64]


class LandmarkJudge:
    """Scores one clip at a time on one CPU thread, so that no result depends on other clips."""

    name = "landmark"

    def __init__(
        self, members: Sequence[LandmarkSyncNet], calibration: Calibration | None = None
    ) -> None:
        self.members = [member.eval() for member in members]
        self.calibration = calibration

    @classmethod
    def load(cls, path: Path = WEIGHTS_PATH) -> "LandmarkJudge":
        """Read the weights.

        Raises:
            WeightsError: the file is absent or is not what the trainer writes.
        """
        return cls(load_networks(path), load_calibration(path))

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
        shape_BTV = torch.from_numpy(centred(shape_TV))[None]
        mel_BSM = torch.from_numpy(normalised(mel_SM))[None]
        with torch.inference_mode(), _one_thread():
            picture = [net.embed_visual(shape_BTV)[0].numpy() for net in self.members]
            sound = [net.embed_audio(mel_BSM)[0].numpy() for net in self.members]
        return _joined(picture), _joined(sound)


def weights_sha256(path: Path = WEIGHTS_PATH) -> str:
    """Return the SHA-256 of the weights file, hex.

    Raises:
        WeightsError: no such file.
    """
    try:
        return file_sha256(path)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: the judge's weights are missing; reinstall") from error


def save_networks(
    path: Path, members: Sequence[LandmarkSyncNet], metadata: Mapping[str, Any]
) -> None:
    """Write all members as float16 (half the size, no measurable loss), plus JSON metadata.

    Raises:
        StorageError: the disk is full or not writable.
    """
    tensors = {
        f"{index}.{name}": tensor.half() if tensor.is_floating_point() else tensor
        for index, member in enumerate(members)
        for name, tensor in member.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    header = {"config": asdict(members[0].config), "members": len(members), **metadata}
    write_safetensors(path, tensors, header)


def load_metadata(path: Path = WEIGHTS_PATH) -> dict[str, Any]:
    """Return the JSON that the trainer stored with the weights: sizes, seed, data, folds."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads(file.metadata()[METADATA_KEY]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not weights of the landmark judge: {error}") from error


def load_calibration(path: Path = WEIGHTS_PATH) -> Calibration:
    """Return the calibration: curve -> probability.

    Raises:
        WeightsError: the file is absent or is not what the trainer writes.
    """
    try:
        return Calibration.from_json(load_metadata(path)["calibration"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path}: no calibration inside: {error}") from error


def load_evidence(path: Path = WEIGHTS_PATH) -> EvidenceModel:
    """Return the evidence model: distances of a window -> log odds of being in sync.

    Raises:
        WeightsError: the file is absent or is not what the trainer writes.
    """
    try:
        return EvidenceModel.from_json(load_metadata(path)["evidence"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path}: no evidence model inside: {error}") from error


def load_networks(path: Path) -> list[LandmarkSyncNet]:
    """Read all members, as float32.

    Raises:
        WeightsError: the file is absent or is not what the trainer writes.
    """
    header = load_metadata(path)
    try:
        config, members = NetworkConfig(**header["config"]), int(header["members"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not weights of the landmark judge: {error}") from error
    with safe_open(path, framework="pt") as file:
        return [_member(file, index, config, path) for index in range(members)]


def _member(file: Any, index: int, config: NetworkConfig, path: Path) -> LandmarkSyncNet:
    network, prefix = LandmarkSyncNet(config), f"{index}."
    names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
    state = {name.removeprefix(prefix): file.get_tensor(name).float() for name in names}
    found = network.load_state_dict(state, strict=False)
    missing = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise WeightsError(f"{path}: keys do not fit the network: {missing or names}")
    return network


def _joined(vectors: Sequence[NDArray[Any]]) -> Doubles:
    """Concatenate unit vectors into a unit vector."""
    joined = np.concatenate(vectors, axis=1).astype(np.float64)
    return np.asarray(joined / np.sqrt(len(vectors)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Fix the order of additions, independent of the machine's thread count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
