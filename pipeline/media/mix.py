"""How the channels of a track become one: measured over the whole track, then fixed.

* A centre channel that is not much quieter than the loudest one is taken alone: films put speech
  there, and music and effects elsewhere.
* Else front channels weigh 1, side and rear ones 0.71, the low-frequency channel 0 (ITU-R BS.775);
  channels without names weigh the same, but six of them are 5.1 (Matroska names none of its PCM).
  The weights sum to 1: the mix cannot clip.
* Where that mix is cancelled (one channel is the other's negative) in a tenth of the seconds that
  hold sound, the loudest channel is taken alone.
"""

from collections.abc import Iterable, Mapping, Sequence

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.media.samples import planes
from pipeline.media.silence import SILENCE

QUIET_CENTRE = 10 ** (-20 / 10)
"""A centre with less than this share of the loudest channel's energy holds no speech."""
CANCELLED = 0.1
"""A mix with less than this share of its channels' mean energy is cancelled: channels that have
nothing in common keep 0.5 or more of it, and wide stereo 0.3."""
CANCELLED_SECONDS = 0.1
_REAR = 0.7071
_WEIGHTS = {
    **dict.fromkeys(("FL", "FR", "FC", "FLC", "FRC", "DL", "DR"), 1.0),
    **dict.fromkeys(("BL", "BR", "BC", "SL", "SR", "WL", "WR"), _REAR),
    **dict.fromkeys(("LFE", "LFE2"), 0.0),
}
_SIX = ("FL", "FR", "FC", "LFE", "BL", "BR")

Weights = Mapping[str, NDArray[np.float64]]
"""By layout: (C,) weight of each channel; a layout that is not named is averaged."""


class _Measure:
    """Products of the channels of one layout, by second."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._seconds: list[NDArray[np.float64]] = []
        self._open, self._taken = np.zeros((len(names), len(names))), 0

    def add(self, samples_CN: NDArray[np.float64], rate_hz: int) -> None:
        """Add samples; a second is closed with the frame that completes it."""
        self._open = self._open + np.einsum("cn,dn->cd", samples_CN, samples_CN)
        self._taken += samples_CN.shape[1]
        if self._taken >= rate_hz:
            self.close()

    def close(self) -> None:
        """Close the second that is begun."""
        if self._taken:
            self._seconds.append(self._open / self._taken)
            self._open, self._taken = np.zeros_like(self._open), 0

    def weights(self) -> NDArray[np.float64]:
        """Return (C,) weights that sum to 1."""
        self.close()
        return channel_weights(self.names, np.array(self._seconds))


def channel_weights(names: Sequence[str], products_SCC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (C,) weights that sum to 1.

    Args:
        names: of the channels, as FFmpeg abbreviates them.
        products_SCC: mean product of each two channels, for each second.
    """
    if len(names) == len(_SIX) and not set(names) <= set(_WEIGHTS):
        names = _SIX
    energy_C = np.diagonal(products_SCC.mean(axis=0))
    loud_S = np.diagonal(products_SCC, axis1=1, axis2=2).max(axis=1) > SILENCE**2 / 2
    if "FC" in names and len(names) > 1:
        centre = list(names).index("FC")
        if energy_C[centre] > QUIET_CENTRE * energy_C.max():
            return _alone(centre, len(names))
    known = all(name in _WEIGHTS for name in names)
    weight_C = np.array([_WEIGHTS[name] for name in names] if known else [1.0] * len(names))
    weight_C = weight_C / weight_C.sum() if weight_C.any() else _alone(0, len(names))
    if loud_S.any():
        mixed_S = np.einsum("c,scd,d->s", weight_C, products_SCC, weight_C)[loud_S]
        single_S = np.einsum("c,scc->s", weight_C, products_SCC)[loud_S]
        if (mixed_S < CANCELLED * single_S).mean() > CANCELLED_SECONDS:
            return _alone(int(energy_C.argmax()), len(names))
    return weight_C


def _alone(channel: int, channels: int) -> NDArray[np.float64]:
    return np.array([float(one == channel) for one in range(channels)])


def measure_mix(frames: Iterable[av.AudioFrame]) -> Weights:
    """Return the weights for each layout that the frames of a track have."""
    measures: dict[str, _Measure] = {}
    for frame in frames:
        if len(frame.layout.channels) > 1:
            names = [channel.name for channel in frame.layout.channels]
            measure = measures.setdefault(frame.layout.name, _Measure(names))
            measure.add(planes(frame), frame.sample_rate)
    return {name: measure.weights() for name, measure in measures.items()}


def as_mono(frame: av.AudioFrame, weights: Weights) -> NDArray[np.float32]:
    """Return the channels of a frame as one, (N,) float32, full scale = 1."""
    samples_CN = planes(frame)
    weight_C = weights.get(frame.layout.name)
    if weight_C is None or np.ptp(weight_C) == 0:
        return np.asarray(samples_CN.mean(axis=0), np.float32)
    return np.asarray(np.einsum("c,cn->n", weight_C, samples_CN), np.float32)
