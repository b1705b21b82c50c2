"""Correcting the AV offset in samples, without a second encode of the picture.

Source of the interpolation: Smith, "Digital Audio Resampling" (windowed sinc).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.encode import next_cut_frame
from pipeline.tables.rows import SAMPLES_PER_FRAME

TAPS = 32
"""Samples of the windowed sinc that make one resampled sample."""
_BLOCK = 16_000
"""Samples made at once: 4 MB of taps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonInterval:
    """The frames of a clip that are taken, and the sound that belongs to them: equally long."""

    first_frame: int
    """Of the clip."""
    num_frames: int
    offset_frames: float
    """Audio lead at the middle of the interval."""
    drift_frames: float = 0.0
    """Change of the lead over the interval."""

    def audio(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return (640 num_frames,) of the clip's samples: shifted by whole samples without a drift,
        else resampled. Sound beyond the clip's ends is silence.
        """
        count, middle = self.num_frames * SAMPLES_PER_FRAME, self._middle * SAMPLES_PER_FRAME
        if not self.drift_frames:
            start = round(middle - count / 2)
            return _between(samples, start, start + count)
        positions = middle + self._rate * (np.arange(count, dtype=np.float64) - count / 2)
        return resampled(samples, positions)

    def sound_edges(self) -> NDArray[np.float64]:
        """Return (num_frames + 1,): where the sound of each frame begins, and where the last ends,
        in frames of the clip's own sound.
        """
        frames = np.arange(self.num_frames + 1, dtype=np.float64)
        return np.asarray(self._middle + self._rate * (frames - self.num_frames / 2))

    @property
    def _middle(self) -> float:
        """The place in the clip's sound, in frames, that belongs to the middle of the interval."""
        return self.first_frame + self.num_frames / 2 - self.offset_frames

    @property
    def _rate(self) -> float:
        return 1 - self.drift_frames / self.num_frames


def common_interval(
    start: int, end: int, num_frames: int, offset_frames: float, drift_frames: float = 0.0
) -> CommonInterval:
    """Return the longest interval of frames [start, end) for which a clip has picture and sound.

    Video frame j belongs to the sound at frame j - offset: where the sound is early (offset > 0)
    the first frames have none, where it is late the last ones. The first frame is one at which
    the encoded picture can be cut.

    Args:
        num_frames: of the whole clip.
        offset_frames: at the middle of [start, end).
        drift_frames: change of the offset from `start` to `end`.

    Raises:
        ValueError: nothing remains.
    """
    slope = drift_frames / (end - start)
    at_start, at_end = offset_frames - drift_frames / 2, offset_frames + drift_frames / 2
    first = next_cut_frame(max(start, math.ceil(at_start)))
    last = min(end, num_frames + math.floor(at_end))
    if last <= first:
        raise ValueError(f"offset {offset_frames:g} of frames [{start}, {end}): nothing remains")
    middle = (first + last) / 2
    return CommonInterval(
        first_frame=first,
        num_frames=last - first,
        offset_frames=offset_frames + slope * (middle - (start + end) / 2),
        drift_frames=slope * (last - first),
    )


def resampled(samples: NDArray[np.int16], positions: NDArray[np.float64]) -> NDArray[np.int16]:
    """Read samples at positions between them, by a Hann-windowed sinc of 32 taps.

    Args:
        positions: (N,) in samples; beyond the ends lies silence.
    """
    padded = np.pad(samples.astype(np.float64), TAPS)
    taps = np.arange(1 - TAPS // 2, TAPS // 2 + 1)
    made = [
        _read(padded, part, taps)
        for part in np.array_split(positions, max(1, len(positions) // _BLOCK))
    ]
    return np.asarray(np.clip(np.rint(np.concatenate(made)), -32768, 32767), np.int16)


def _read(
    padded: NDArray[np.float64], positions: NDArray[np.float64], taps: NDArray[np.int64]
) -> NDArray[np.float64]:
    whole = np.floor(positions).astype(np.int64)
    distance = taps - (positions - whole)[:, None]
    weights = np.sinc(distance) * np.cos(np.pi * distance / TAPS) ** 2
    places = np.clip(whole[:, None] + taps + TAPS, 0, len(padded) - 1)
    return np.asarray((padded[places] * weights).sum(axis=1))


def _between(samples: NDArray[np.int16], start: int, end: int) -> NDArray[np.int16]:
    before, after = max(0, -start), max(0, end - len(samples))
    return np.pad(samples[max(0, start) : max(0, end)], (before, after))
