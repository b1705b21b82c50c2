"""All mel windows of a clip from five spectrograms: computed once per decode, sliced per draw.

Windows of neighbouring frames share most of their columns. Frame f starts at sample 640 f and
columns are 200 samples apart, so frames that are equal modulo 5 share one grid: five spectrograms
contain all windows of a clip, at 17 ms each per 10 s; a single window takes 0.6 ms.

Shape suffixes: M mel bands, S mel columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.audio.mel import HOP_SAMPLES, WindowStart, first_sample, mel_window, num_columns
from trainers.data.clip import DecodedClip

_PHASES = 5
"""Frames until a frame starts on a column again: 5 x 640 = 16 x 200 samples."""


@dataclass(frozen=True, slots=True)
class MelWindows:
    """The windows of one clip, equal to `trainers.audio.mel.mel_window` up to rounding."""

    grids: Sequence[NDArray[np.float32]]
    """(80, S) spectrograms; number g starts at the window of frame g."""
    start: WindowStart

    def window(self, start_frame: int, num_frames: int) -> NDArray[np.float32]:
        """Return (80, ceil(3.2 F)) float32, a view.

        Raises:
            ValueError: the window ends after the clip.
        """
        grid = start_frame % len(self.grids)
        samples = first_sample(start_frame, self.start) - first_sample(grid, self.start)
        first, columns = samples // HOP_SAMPLES, num_columns(num_frames)
        out = self.grids[grid][:, first : first + columns]
        if out.shape[1] != columns:
            raise ValueError(f"no window of {num_frames} frames at frame {start_frame}")
        return out


@dataclass(frozen=True, slots=True)
class PrepareMel:
    """A loader's `prepare`: computes the `MelWindows` of a clip."""

    start: WindowStart = "exact"

    def __call__(self, clip: DecodedClip) -> MelWindows:
        """Compute the spectrograms; whole columns (`compat`) need only one."""
        phases = {"exact": min(_PHASES, clip.num_frames), "compat": 1}[self.start]
        return MelWindows([self._grid(clip, phase) for phase in range(phases)], self.start)

    def _grid(self, clip: DecodedClip, phase: int) -> NDArray[np.float32]:
        frames = clip.num_frames - phase
        return mel_window(clip.audio, phase, frames, self.start).astype(np.float32)
