"""What a clip says of who is in it: one embedding of the face, one of the voice.

Rounded to thousandths, so that they take little room and distances are exact.

Shapes: T frames, N samples at 16 kHz.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.identity import face_network, voice_network
from pipeline.identity.face_chip import face_chips
from pipeline.identity.face_network import FaceNetwork
from pipeline.identity.voice_network import WINDOW_SAMPLES, VoiceNetwork, mel_windows
from pipeline.media.clip_reader import chosen_frames, spread_frames
from pipeline.tables.rows import SAMPLES_PER_FRAME
from pipeline.weights.bundled_arrays import bundled_sha256
from pipeline.weights.files import sha256_of

FRAMES = 2
"""Looked at, spread over the clip; their embeddings are averaged."""
WINDOWS = 6
"""Of the voice, at most, those with the most speech."""
MIN_SPEECH = 0.5
"""Share of a window that is speech."""
STEPS = 1000
"""Per unit: the embeddings are whole numbers of thousandths."""


@dataclass(frozen=True, slots=True)
class IdentityNetworks:
    """Both networks, loaded once per worker."""

    face: FaceNetwork
    voice: VoiceNetwork


def weights() -> dict[str, str]:
    """Return the digests of both weights files, by name."""
    voice = voice_network.PATH
    return {
        face_network.WEIGHTS: sha256_of(face_network.WEIGHTS),
        voice.name: bundled_sha256(voice),
    }


def face_embedding(video: Path, num_frames: int, network: FaceNetwork) -> list[float]:
    """Return the mean embedding of two frames of an aligned clip, 128 numbers.

    Raises:
        av.FFmpegError: the clip does not decode.
    """
    wanted = spread_frames(num_frames, FRAMES)
    shown = chosen_frames(video, wanted)
    crops = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for _, frame in shown]
    return _rounded(network.embed(face_chips(crops)).mean(0))


def voice_embedding(
    audio_N: NDArray[np.float32], speech_T: Sequence[float], network: VoiceNetwork
) -> list[float]:
    """Return the embedding of the speech, 256 numbers; none where no window is mostly speech.

    Args:
        speech_T: share of every frame's 40 ms that is speech.
    """
    starts = speech_windows(np.asarray(speech_T))
    return _rounded(network.embed(mel_windows(audio_N, starts))) if starts else []


def speech_windows(speech_T: NDArray[np.float64]) -> list[int]:
    """Return the first samples of windows that do not overlap, those with the most speech."""
    frames = WINDOW_SAMPLES // SAMPLES_PER_FRAME
    firsts = range(0, max(len(speech_T) - frames, 0) + 1, frames)
    share = {first: float(speech_T[first : first + frames].mean()) for first in firsts}
    spoken = [first for first in firsts if share[first] >= MIN_SPEECH]
    best = sorted(spoken, key=lambda first: (-share[first], first))[:WINDOWS]
    return [first * SAMPLES_PER_FRAME for first in sorted(best)]


def _rounded(vector: NDArray[np.float64]) -> list[float]:
    return [float(value) / STEPS for value in np.rint(vector * STEPS).astype(int).tolist()]
