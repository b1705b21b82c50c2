"""Windows of clips as items of a batch.

Shape suffixes: F frames of a window, C colours, H and W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from pipeline.tables.rows import SAMPLES_PER_FRAME
from trainers.data.augment import Augmentation, AugmentationDraw, augmented, draw_augmentation
from trainers.data.clip import DecodedClip

Item: TypeAlias = Mapping[str, Any]
Prepare: TypeAlias = Callable[[DecodedClip], Any]
"""Computes, once per decode, what all windows of a clip share: `DecodedClip.prepared`."""
Reference = Literal["apart", "near", "self"]
MakeItem: TypeAlias = Callable[[DecodedClip, int, np.random.Generator], Item]
"""(clip, first frame, random generator of this draw) -> item. Must be picklable, for workers."""


@dataclass(frozen=True, slots=True)
class WindowItem:
    """Frames and audio of a window, and optionally a reference window of the same clip.

    Items: `clip_id`, `shard`, `start_frame` (in the clip), `num_frames` (of the clip, or of the
    part that is drawn from), `frames` (F, 3, H, W)
    uint8, `audio` int16; with a reference also `reference_start_frame` and `reference`.
    """

    frames: int = 16
    reference: Reference | None = None
    """Add a second window of the clip: `apart` shares no frame with the first, `near` lies one
    frame beside it, `self` is the window itself; needs a clip of 3 F - 1 frames."""
    audio: Literal["window", "clip", "none"] = "window"
    """`window`: F * 640 samples; `clip`: all samples, arrays of different lengths."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs for an item at every start."""
        return 3 * self.frames - 1 if self.reference else self.frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Cut and augment; both windows of an item get the same augmentation."""
        item: dict[str, Any] = {"clip_id": clip.clip_id, "shard": clip.shard}
        item |= {"start_frame": clip.first_frame + start, "num_frames": clip.num_frames}
        drawn = draw_augmentation(self.augmentation, rng)
        item["frames"] = self._cut(clip, start, drawn)
        if self.reference:
            other = self._other_start(clip, start, rng)
            item |= {"reference_start_frame": other, "reference": self._cut(clip, other, drawn)}
        if self.audio == "window":
            item["audio"] = torch.from_numpy(audio_of(clip, start, self.frames).copy())
        elif self.audio == "clip":
            item["audio"] = clip.audio
        return item

    def _other_start(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> int:
        if self.reference == "apart":
            return non_overlapping_start(clip.num_frames, start, self.frames, rng)
        if self.reference == "self":
            return start
        beside = start + (1 if rng.integers(2) else -1)
        inside = 0 <= beside <= clip.num_frames - self.frames
        return beside if inside else 2 * start - beside

    def _cut(self, clip: DecodedClip, start: int, drawn: AugmentationDraw) -> torch.Tensor:
        window_FCHW = clip.frames[start : start + self.frames]
        assert len(window_FCHW) == self.frames, (clip.clip_id, start)
        return torch.from_numpy(augmented(window_FCHW, drawn))


def audio_of(clip: DecodedClip, start: int, frames: int) -> Any:
    """Return the samples of a window, (frames * 640,) int16."""
    return clip.audio[start * SAMPLES_PER_FRAME : (start + frames) * SAMPLES_PER_FRAME]


def non_overlapping_start(
    num_frames: int, start: int, frames: int, rng: np.random.Generator
) -> int:
    """Draw the start of a window that shares no frame with the one at `start`.

    Raises:
        ValueError: there is none; with 3 * frames - 1 frames there is one for every start.
    """
    before = max(start - frames + 1, 0)
    after = max(num_frames - 2 * frames - start + 1, 0)
    if not before + after:
        raise ValueError(f"no window of {frames} apart from [{start}, +{frames}) in {num_frames}")
    drawn = int(rng.integers(before + after))
    return drawn if drawn < before else start + frames + drawn - before
