"""A voice as 256 numbers of length 1: recordings of one speaker have a high cosine.

The speaker encoder of Wan et al., "Generalized End-to-End Loss for Speaker Verification" (2018), as
trained and published with the package Resemblyzer 0.1.4 (Apache-2.0): three LSTM layers of 256 on
40 mel bands, the last state through a linear layer and a ReLU. Here in numpy, on a grid, with
weights rounded to float16.

Shapes: W windows, S = 100 mel steps, M = 40 bands, N samples at 16 kHz, D = 256.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import WeightsError
from pipeline.exact_layers import Floats, on_grid
from pipeline.weights.bundled_arrays import FIX, read_bundled

PATH = Path(__file__).with_name("voice_identity.safetensors")
SIZE, BANDS, LAYERS = 256, 40, 3
STEPS = 100
"""Of a window: 1 s. The network was trained on 1.6 s; more and shorter ones cost less."""
HOP, FFT = 160, 400
WINDOW_SAMPLES = STEPS * HOP
LOUDNESS_DB = -30.0
"""Mean power to which quieter sound is raised, relative to full scale."""
SHAPES: Mapping[str, tuple[int, ...]] = {
    "linear.weight": (SIZE, SIZE),
    "linear.bias": (SIZE,),
    **{f"{n}.input": (4 * SIZE, SIZE if n else BANDS) for n in range(LAYERS)},
    **{f"{n}.hidden": (4 * SIZE, SIZE) for n in range(LAYERS)},
    **{f"{n}.bias": (4 * SIZE,) for n in range(LAYERS)},
}


class VoiceNetwork:
    """The network, in numpy."""

    def __init__(self, path: Path = PATH) -> None:
        """Read the weights.

        Raises:
            WeightsError: the file is absent or not this network's.
        """
        stored = read_bundled(path)
        if {name: array.shape for name, array in stored.items()} != dict(SHAPES):
            raise WeightsError(f"{path}: its arrays are not those of the voice network; {FIX}")
        self._weights = {name: on_grid(array) for name, array in stored.items()}

    def embed(self, mels_WSM: Floats) -> Floats:
        """Return one unit vector (D,) for all windows together."""
        value = mels_WSM
        for layer in range(LAYERS):
            value = self._lstm(value, layer)
        made = value[:, -1] @ self._weights["linear.weight"].T + self._weights["linear.bias"]
        mean_1D = unit(np.maximum(made, 0)).mean(0, keepdims=True)
        return np.asarray(unit(mean_1D)[0])

    def _lstm(self, value_WSI: Floats, layer: int) -> Floats:
        """Return the hidden states (W, S, D); gates in torch's order: in, forget, cell, out."""
        weight, bias = self._weights[f"{layer}.hidden"], self._weights[f"{layer}.bias"]
        driven = on_grid(value_WSI) @ self._weights[f"{layer}.input"].T + bias
        hidden, cell = np.zeros((2, len(value_WSI), SIZE))
        states = np.empty((*value_WSI.shape[:2], SIZE))
        for step in range(value_WSI.shape[1]):
            gates = driven[:, step] + hidden @ weight.T
            opened = on_grid(_sigmoid(gates))
            enter, forget, _, leave = np.split(opened, 4, axis=1)
            new = on_grid(np.tanh(gates[:, 2 * SIZE : 3 * SIZE]))
            cell = on_grid(forget * cell + enter * new)
            hidden = on_grid(leave * np.tanh(cell))
            states[:, step] = hidden
        return states


def mel_windows(audio_N: NDArray[np.float32], starts: list[int]) -> Floats:
    """Return the mel power (W, S, M) of windows of 1 s.

    Args:
        audio_N: full scale 1.
        starts: first sample of every window; beyond the sound's ends there is silence.
    """
    loud = _raised(audio_N.astype(np.float64))
    padded = np.pad(loud, (FFT // 2, WINDOW_SAMPLES + FFT))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    places = np.arange(STEPS)[:, None] * HOP + np.arange(FFT)
    spectra = [np.fft.rfft(padded[start + places] * hann) for start in starts]
    power_WSF = np.abs(np.stack(spectra)) ** 2
    return np.asarray(np.einsum("wsf,mf->wsm", power_WSF, mel_filters()))


@cache
def mel_filters() -> Floats:
    """Return (M, 201): triangles of equal area, on the mel scale of Slaney's Auditory Toolbox."""
    edges_hz = _hz(np.linspace(0, _mel(8000.0), BANDS + 2))
    hz = np.linspace(0, 8000, FFT // 2 + 1)
    low, middle, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    up, down = (hz - low) / (middle - low), (high - hz) / (high - middle)
    return np.asarray(np.maximum(0, np.minimum(up, down)) * 2 / (high - low))


def unit(vectors: Floats) -> Floats:
    """Return vectors (..., D) divided by their lengths; zeros stay."""
    length = np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    return np.asarray(vectors / np.maximum(length, 1e-9))


def _raised(audio_N: Floats) -> Floats:
    power = float((audio_N * audio_N).mean()) if audio_N.size else 0.0
    if power == 0:
        return audio_N
    change_db = LOUDNESS_DB - 10 * np.log10(power)
    return np.asarray(audio_N * 10 ** (max(change_db, 0.0) / 20))


def _sigmoid(value: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * value)))


_LINEAR_TO_HZ, _HZ_PER_MEL = 1000.0, 200 / 3
_LOG_STEP = np.log(6.4) / 27


def _mel(hz: float) -> float:
    if hz < _LINEAR_TO_HZ:
        return hz / _HZ_PER_MEL
    return float(_LINEAR_TO_HZ / _HZ_PER_MEL + np.log(hz / _LINEAR_TO_HZ) / _LOG_STEP)


def _hz(mels: Floats) -> Floats:
    corner = _LINEAR_TO_HZ / _HZ_PER_MEL
    above = _LINEAR_TO_HZ * np.exp(_LOG_STEP * np.maximum(mels - corner, 0))
    return np.asarray(np.where(mels < corner, mels * _HZ_PER_MEL, above))
