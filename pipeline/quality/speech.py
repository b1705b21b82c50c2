"""Speech share and signal-to-noise ratio, by Silero VAD.

The model file lies inside the package `silero-vad`. Its "sequence" form takes all windows of a
clip in one call; it is run by ONNX Runtime directly, because importing the package would load
torch and change its thread count.

Shapes: N = samples at 16 kHz, W = windows of 512 samples (32 ms).
"""

import importlib.util
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.digest import file_sha256
from pipeline.errors import WeightsError
from pipeline.runs import runs_of
from pipeline.tables.rows import SAMPLES_PER_FRAME
from pipeline.weights.onnx_sessions import open_on_cpu

WINDOW = 512
WEIGHTS = "silero_vad_16k_sequence.onnx"
_CONTEXT = 64
"""Samples of the previous window that are part of the model's input."""
_BLOCK = 512
"""Windows per call: 16 s. The state is carried over, so the results do not depend on it."""
_STATE = (1, 1, 128)

_RELEASE = 0.15
"""Speech ends where the probability falls this far below the threshold (Silero's default)."""
_MIN_SILENCE_WINDOWS = 4
"""Shorter pauses count as speech: 100 ms, Silero's default."""
_MIN_SPEECH_WINDOWS = 8
"""Shorter bursts are dropped: 250 ms, Silero's default."""

_MIN_REST_WINDOWS = 8
"""With fewer non-speech windows (0.25 s), the quietest windows are the noise."""
_QUIETEST_SHARE = 0.1
_POWER_FLOOR = 1e-10
_SNR_LIMIT_DB = 60.0


def weights_path() -> Path:
    """Return the model file inside the installed package, without importing it.

    Raises:
        WeightsError: the package or the file is absent.
    """
    spec = importlib.util.find_spec("silero_vad")
    folders = spec.submodule_search_locations if spec else None
    path = Path(next(iter(folders))) / "data" / WEIGHTS if folders else None
    if path is None or not path.is_file():
        raise WeightsError(f"{WEIGHTS} not found: run `pip install 'silero-vad>=6.2.3'`")
    return path


@cache
def weights_digest() -> str:
    """Return the SHA-256 of the model file, hex."""
    return file_sha256(weights_path())


class SpeechDetector:
    """Silero VAD on the CPU, one thread."""

    def __init__(self) -> None:
        self._session = open_on_cpu(str(weights_path()))

    def probabilities(self, audio_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the speech probability of each window, shape (W,); the last is zero-padded."""
        hidden = cell = np.zeros(_STATE, np.float32)
        found = []
        for block in _blocks(audio_N):
            probabilities, hidden, cell = self._session.run(
                ["speech_probs", "hn", "cn"], {"input": block, "h": hidden, "c": cell}
            )
            found.append(probabilities.reshape(-1))
        return np.concatenate(found)


def speech_windows(
    probabilities_W: npt.NDArray[np.float32], threshold: float
) -> npt.NDArray[np.bool_]:
    """Return which windows are speech, (W,): hysteresis, short pauses filled, bursts dropped.

    Source: the decision rule and defaults of Silero VAD, on whole windows and without padding.
    """
    speech_W = _hysteresis(probabilities_W, threshold)
    for start, end in runs_of(~speech_W):
        if start > 0 and end < len(speech_W) and end - start < _MIN_SILENCE_WINDOWS:
            speech_W[start:end] = True
    for start, end in runs_of(speech_W):
        if end - start < _MIN_SPEECH_WINDOWS:
            speech_W[start:end] = False
    return speech_W


def speech_by_frame(speech_W: npt.NDArray[np.bool_], num_frames: int) -> npt.NDArray[np.float64]:
    """Return which share of each frame's 40 ms is speech, (T,), 0 to 1.

    The mean over a part of the clip is that part's share of speech. 0 beyond the end of the sound.
    """
    speech_until = np.concatenate([[0], np.cumsum(speech_W)]) * float(WINDOW)
    edges = np.arange(num_frames + 1) * SAMPLES_PER_FRAME
    windows = np.arange(len(speech_until)) * WINDOW
    shares: npt.NDArray[np.float64] = np.diff(np.interp(edges, windows, speech_until))
    return shares / SAMPLES_PER_FRAME


def snr_db(audio_N: npt.NDArray[np.float32], speech_W: npt.NDArray[np.bool_]) -> float:
    """Return mean power of the speech windows over that of the rest, in dB, within +-60.

    Where all windows are speech the quietest tenth is the noise. 0 without speech.
    """
    if not speech_W.any():
        return 0.0
    power_W = _window_power(audio_N, len(speech_W))
    rest = power_W[~speech_W]
    if len(rest) < _MIN_REST_WINDOWS:
        rest = np.sort(power_W)[: max(1, int(len(power_W) * _QUIETEST_SHARE))]
    ratio = max(power_W[speech_W].mean(), _POWER_FLOOR) / max(rest.mean(), _POWER_FLOOR)
    return float(np.clip(10 * math.log10(ratio), -_SNR_LIMIT_DB, _SNR_LIMIT_DB))


def _blocks(audio_N: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield (up to 512, 64 + 512): each window with the end of the one before it."""
    windows = max(1, -(-len(audio_N) // WINDOW))
    padded = np.zeros(_CONTEXT + windows * WINDOW, np.float32)
    padded[_CONTEXT : _CONTEXT + len(audio_N)] = audio_N
    view = np.lib.stride_tricks.sliding_window_view(padded, _CONTEXT + WINDOW)[::WINDOW]
    for first in range(0, windows, _BLOCK):
        yield np.ascontiguousarray(view[first : first + _BLOCK])


def _hysteresis(
    probabilities_W: npt.NDArray[np.float32], threshold: float
) -> npt.NDArray[np.bool_]:
    speech_W = np.zeros(len(probabilities_W), np.bool_)
    speaking = False
    for index, probability in enumerate(probabilities_W):
        speaking = bool(probability >= (threshold - _RELEASE if speaking else threshold))
        speech_W[index] = speaking
    return speech_W


def _window_power(audio_N: npt.NDArray[np.float32], windows: int) -> npt.NDArray[np.float64]:
    padded = np.zeros(windows * WINDOW)
    padded[: len(audio_N)] = audio_N
    power: npt.NDArray[np.float64] = np.square(padded.reshape(windows, WINDOW)).mean(axis=1)
    return power
