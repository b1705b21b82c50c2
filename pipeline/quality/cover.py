"""How sure it is that the mouth is not visible, frame by frame.

Two measures, the larger counts. A small network (model card: docs/quality.md) looks at the face
around the lips, reduced to 48 x 48: whether anything lies over the mouth. And the lip landmarks are
looked up in the crop: whether they lie outside of the picture, where the crop is filled with grey.
The landmark model itself cannot tell: it puts lips where the rest of the face says they must be.

Shapes: T = frames, L = landmarks, N = frames in a call, C = planes, S x S = 64 x 64 copy of the
crop, P x P = 48 x 48 part of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter

from pipeline import elementary
from pipeline.errors import WeightsError
from pipeline.exact_layers import Floats, convolved, on_grid, rectified
from pipeline.faces.schemas import LandmarkSchema
from pipeline.quality.cover_input import SMALL_PX, Planes, around_lips
from pipeline.weights.bundled_arrays import read_bundled

WEIGHTS_PATH = Path(__file__).with_name("mouth_cover.safetensors")
WEIGHTS = WEIGHTS_PATH.name
INPUT_SCALE = 1 / 64
STEP = 4
"""Every fourth frame is looked at (0.16 s), the others only where something changes."""
MEDIAN = 5
"""The network's error in one frame says little of the next; a cover of 3 frames and more stays."""
_QUIET = 0.1
"""Below this in two looks, and no more apart, the frames between are interpolated."""
_BLOCK = 64
"""Frames per call of the network."""
_FILL_LUMA, _FILL_COLOUR = 127, 128
_FILL_NEAR = 2
"""The encoder moves the crop's fill by a level or two."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution, without padding, and a ReLU."""

    channels_in: int
    channels_out: int
    kernel: int
    stride: int


LAYERS = (Layer(3, 12, 5, 2), Layer(12, 24, 3, 2), Layer(24, 32, 3, 1), Layer(32, 48, 3, 2))
"""48 -> 22 -> 10 -> 8 -> 3 pixels."""


class CoverDetector:
    """The network, in numpy."""

    def __init__(self, path: Path = WEIGHTS_PATH) -> None:
        """Read the weights.

        Raises:
            WeightsError: the file is absent or is not what the trainer writes.
        """
        self._weights = _read(path)

    def probabilities(self, parts_NCPP: Planes) -> Floats:
        """Return the probability that the mouth is covered, (N,)."""
        blocks = range(0, len(parts_NCPP), _BLOCK)
        return np.concatenate([self._block(parts_NCPP[first : first + _BLOCK]) for first in blocks])

    def _block(self, parts_NCPP: Planes) -> Floats:
        value = (parts_NCPP.astype(np.float64) - 128) * INPUT_SCALE
        for index, layer in enumerate(LAYERS):
            weight, bias = self._layer(f"conv{index}")
            value = rectified(convolved(value, weight, bias, layer.kernel, layer.stride))
        weight, bias = self._layer("hidden")
        hidden = rectified(value.reshape(len(value), -1) @ weight.T + bias)
        weight, bias = self._layer("out")
        odds = (hidden @ weight.T + bias)[:, 0]
        return np.asarray(1 / (1 + elementary.exp(-np.clip(odds, -50, 50))))

    def _layer(self, name: str) -> tuple[Floats, Floats]:
        return self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]


def cover(small_TCSS: Planes, lips_TP2: Floats, detector: CoverDetector) -> Floats:
    """Return how sure it is that the mouth is not visible, (T,), 0 to 1.

    Args:
        small_TCSS: luma (0 to 255) and colour differences of every frame's crop.
        lips_TP2: points on the edge of the lips, as shares of the crop's side.
    """
    covered_T = median_filter(_covered(small_TCSS, lips_TP2, detector), MEDIAN, mode="mirror")
    away_T = np.minimum(outside(small_TCSS, lips_TP2) / MUCH_OUTSIDE, 1.0)
    return np.asarray(np.maximum(covered_T, away_T))


def lips_in_crop(
    points_TLC: Floats, matrices_T23: Floats, schema: LandmarkSchema, crop_px: int
) -> Floats:
    """Return the outer edge of the lips, (T, points, 2), as shares of the crop's side."""
    lips_TP2 = points_TLC[:, list(schema.outer_lip.points), :2]
    in_crop = np.einsum("tij,tpj->tpi", matrices_T23[:, :, :2], lips_TP2)
    return np.asarray((in_crop + matrices_T23[:, None, :, 2] + 0.5) / crop_px)


MUCH_OUTSIDE = 0.3
"""With this share of the lip points outside of the picture the mouth is not visible for sure."""


def outside(small_TCSS: Planes, lips_TP2: Floats) -> Floats:
    """Return which share of the lip points lies outside of the picture, (T,).

    That is outside of the crop, or on its fill: this very grey, and so are all neighbours.
    """
    beyond_TP = ((lips_TP2 < 0) | (lips_TP2 >= 1)).any(axis=2)
    at_TP2 = np.clip(np.floor(lips_TP2 * SMALL_PX), 1, SMALL_PX - 2).astype(int)
    frame_T1 = np.arange(len(lips_TP2))[:, None]
    fill = np.array([_FILL_LUMA, _FILL_COLOUR, _FILL_COLOUR])
    filled_TP = np.ones(beyond_TP.shape, np.bool_)
    for x, y in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)):
        seen_TPC = small_TCSS[frame_T1, :, at_TP2[..., 1] + y, at_TP2[..., 0] + x].astype(int)
        filled_TP &= (np.abs(seen_TPC - fill) <= _FILL_NEAR).all(axis=2)
    share_T: Floats = (beyond_TP | filled_TP).mean(axis=1)
    return share_T


def _covered(small_TCSS: Planes, lips_TP2: Floats, detector: CoverDetector) -> Floats:
    """Look at every fourth frame, then at those between two looks that are not both quiet."""
    num_frames = len(small_TCSS)
    centres_T2 = lips_TP2.mean(axis=1)

    def look(frames: Sequence[int]) -> Floats:
        parts = [around_lips(small_TCSS[frame], centres_T2[frame]) for frame in frames]
        return detector.probabilities(np.stack(parts))

    looked = sorted({*range(0, num_frames, STEP), num_frames - 1})
    found = look(looked)
    covered_T = np.interp(np.arange(num_frames), looked, found)
    loud = np.maximum(found[1:], found[:-1]) >= _QUIET
    between = [
        frame
        for index in np.flatnonzero(loud)
        for frame in range(looked[index] + 1, looked[index + 1])
    ]
    if between:
        covered_T[between] = look(between)
    return covered_T


def _read(path: Path) -> Mapping[str, Floats]:
    stored = read_bundled(path)
    names = [f"conv{index}" for index in range(len(LAYERS))] + ["hidden", "out"]
    expected = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    if set(stored) != expected:
        raise WeightsError(f"{path}: holds {sorted(stored)}, expected {sorted(expected)}")
    return {name: on_grid(array) for name, array in stored.items()}
