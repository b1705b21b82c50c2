"""What the loader makes of a clip for StableSyncNet: one pair, or several windows of it.

Shape suffixes: K windows, F frames of a window, C colours, H and W pixels, M mel columns.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.audio.mel import MAX_VALUE, RANGE_DB, WindowStart, mel_window
from trainers.audio.mel_windows import MelWindows
from trainers.data.augment import Augmentation, AugmentationDraw, augmented, draw_augmentation
from trainers.data.clip import DecodedClip
from trainers.data.pixel_range import signed_from_array
from trainers.systems.stable_syncnet.pairs import (
    Negatives,
    draw_pair,
    draw_windows,
    even_windows,
    sync_labels,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How windows are cut from a clip."""

    frames: int = 16
    mel: WindowStart = "exact"
    negatives: Negatives = "non_overlapping"
    augmentation: Augmentation = field(default_factory=Augmentation)
    shift: float = 0.0
    """Pictures move by up to this share of their edge, both ways; the border is repeated."""
    gain_db: float = 0.0
    """Sound becomes louder or softer by up to so many decibels."""

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that it holds a negative."""
        return 2 * self.frames

    def draw(self, rng: np.random.Generator, edge_px: int) -> "Change":
        """Draw what one item is changed by; always takes as many numbers."""
        look = draw_augmentation(self.augmentation, rng)
        down, right, gain = rng.uniform(-1, 1, 3).tolist()
        most = self.shift * edge_px
        return Change(look, round(down * most), round(right * most), gain * self.gain_db)

    def picture(self, clip: DecodedClip, start: int, change: "Change") -> Tensor:
        """Return (F * 3, H / 2, W) in -1 ... 1."""
        window_FCHW = clip.frames[start : start + self.frames]
        height, width = window_FCHW.shape[2:]
        if change.down or change.right:
            rows = np.arange(height // 2, height) - change.down
            columns = np.arange(width) - change.right
            window_FCHW = window_FCHW[:, :, rows.clip(0, height - 1)]
            window_FCHW = window_FCHW[..., columns.clip(0, width - 1)]
        else:
            window_FCHW = window_FCHW[:, :, height // 2 :]
        return signed_from_array(augmented(window_FCHW, change.look)).flatten(0, 1)

    def sound(self, clip: DecodedClip, start: int, change: "Change") -> Tensor:
        """Return (1, 80, M); cut from what `PrepareMel` made, if it was made."""
        mel_MS: NDArray[Any]
        if isinstance(clip.prepared, MelWindows):
            mel_MS = clip.prepared.window(start, self.frames)
        else:
            mel_MS = mel_window(clip.audio, start, self.frames, self.mel)
        return louder(torch.from_numpy(mel_MS).float()[None], change.gain_db)


@dataclass(frozen=True, slots=True)
class Change:
    """What was drawn for one item; the default changes nothing."""

    look: AugmentationDraw = field(default_factory=AugmentationDraw)
    down: int = 0
    right: int = 0
    gain_db: float = 0.0


def louder(mel: Tensor, gain_db: float) -> Tensor:
    """Return the spectrogram of a sound louder by `gain_db`, up to what was cut off before."""
    if not gain_db:
        return mel
    return (mel + 2 * MAX_VALUE / RANGE_DB * gain_db).clamp(-MAX_VALUE, MAX_VALUE)


@dataclass(frozen=True, slots=True)
class PairItem:
    """Makes one pair of a decoded clip: pictures of one moment, sound of the same or another.

    Items: `clip_id`, `shard`, `start_frame` (the sound's), `visual` (3 F, H / 2, W) in -1 ... 1,
    `mel` (1, 80, M), `in_sync` 1.0 or 0.0.
    """

    cut: Cut = field(default_factory=Cut)

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that it holds a negative."""
        return self.cut.min_frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a pair; the loader's own start is not used, because not every one has a negative."""
        cut = self.cut
        pair = draw_pair(rng, clip.num_frames, cut.frames, cut.negatives)
        change = cut.draw(rng, clip.frames.shape[3])
        return {
            "clip_id": clip.clip_id,
            "shard": clip.shard,
            "start_frame": pair.audio_start_frame,
            "visual": cut.picture(clip, pair.visual_start_frame, change),
            "mel": cut.sound(clip, pair.audio_start_frame, change),
            "in_sync": torch.tensor(float(pair.in_sync)),
        }


@dataclass(frozen=True, slots=True)
class WindowsItem:
    """Makes K windows of a decoded clip, every sound against every picture.

    Items: `clip_id`, `shard`, `start_frame` (the first sound's), `starts` (K,), `visual`
    (K, 3 F, H / 2, W) in -1 ... 1, `mel` (K, 1, 80, M), `in_sync` (K, K) int8 as `sync_labels`.
    """

    windows: int
    cut: Cut = field(default_factory=Cut)
    spread_evenly: bool = False
    """For measuring: the same windows at every call, from the clip's first to its last."""

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that it holds a negative."""
        return self.cut.min_frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Draw windows; the loader's own start is not used. One change for all of them."""
        cut = self.cut
        starts = self._starts(clip.num_frames, rng)
        change = cut.draw(rng, clip.frames.shape[3])
        return {
            "clip_id": clip.clip_id,
            "shard": clip.shard,
            "start_frame": int(starts[0]),
            "starts": torch.from_numpy(starts),
            "visual": torch.stack([cut.picture(clip, int(one), change) for one in starts]),
            "mel": torch.stack([cut.sound(clip, int(one), change) for one in starts]),
            "in_sync": torch.from_numpy(sync_labels(starts, cut.frames, cut.negatives)),
        }

    def _starts(self, num_frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.spread_evenly:
            return even_windows(num_frames, self.windows, self.cut.frames)
        return draw_windows(rng, num_frames, self.windows, self.cut.frames, self.cut.negatives)
