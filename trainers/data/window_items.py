"""What becomes of a window: the items that make batches.

Shape suffixes: F frames of a window, C colours, H and W pixels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from pipeline.tables.rows import SAMPLES_PER_FRAME
from trainers.data.augment import Augmentation, augmented, draw_augmentation
from trainers.data.clip import DecodedClip

Item: TypeAlias = Mapping[str, Any]
Prepare: TypeAlias = Callable[[DecodedClip], Any]
"""Makes, once per decode, what all windows of a clip share; kept as `DecodedClip.prepared`."""
MakeItem: TypeAlias = Callable[[DecodedClip, int, np.random.Generator], Item]
"""(clip, first frame, random stream of this draw) -> item. Must pickle, for workers."""


@dataclass(frozen=True, slots=True)
class WindowItem:
    """Frames and sound of a window, and if wanted a second window of the same clip.

    Items: `clip_id`, `shard`, `start_frame`, `num_frames` (of the clip), `frames` (F, 3, H, W)
    uint8, `audio` int16; with a reference also `reference_start_frame` and `reference`.
    """

    frames: int = 16
    reference: bool = False
    """Add a window that shares no frame with the first; the clip needs 3 F - 1 frames for it."""
    audio: Literal["window", "clip", "none"] = "window"
    """`window`: F * 640 samples; `clip`: all of it, an array of its own length per item."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that every start has its item."""
        return 3 * self.frames - 1 if self.reference else self.frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Cut, augment; both windows of an item are augmented alike."""
        item: dict[str, Any] = {"clip_id": clip.clip_id, "shard": clip.shard}
        item |= {"start_frame": start, "num_frames": clip.num_frames}
        look = draw_augmentation(self.augmentation, rng)
        item["frames"] = self._cut(clip, start, look)
        if self.reference:
            other = apart_start(clip.num_frames, start, self.frames, rng)
            item |= {"reference_start_frame": other, "reference": self._cut(clip, other, look)}
        if self.audio == "window":
            item["audio"] = torch.from_numpy(audio_of(clip, start, self.frames).copy())
        elif self.audio == "clip":
            item["audio"] = clip.audio
        return item

    def _cut(self, clip: DecodedClip, start: int, look: Any) -> torch.Tensor:
        window_FCHW = clip.frames[start : start + self.frames]
        assert len(window_FCHW) == self.frames, (clip.clip_id, start)
        return torch.from_numpy(augmented(window_FCHW, look))


def audio_of(clip: DecodedClip, start: int, frames: int) -> Any:
    """Return the samples of a window, (frames * 640,) int16."""
    return clip.audio[start * SAMPLES_PER_FRAME : (start + frames) * SAMPLES_PER_FRAME]


def apart_start(num_frames: int, start: int, frames: int, rng: np.random.Generator) -> int:
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
