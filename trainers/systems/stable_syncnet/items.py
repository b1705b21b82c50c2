"""Items of StableSyncNet: one pair, or several windows of a clip.

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
from trainers.systems.stable_syncnet.pairs import (
    Negatives,
    draw_pair,
    draw_windows,
    even_windows,
    sync_labels,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """How windows are extracted from a clip."""

    frames: int = 16
    mel: WindowStart = "exact"
    negatives: Negatives = "non_overlapping"
    augmentation: Augmentation = field(default_factory=Augmentation)
    shift: float = 0.0
    """Pictures move by up to this share of their edge, both ways; the border is repeated."""
    gain_db: float = 0.0
    """Maximum random gain of the audio, in dB, both ways."""

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that it holds a negative."""
        return 2 * self.frames

    def draw(self, rng: np.random.Generator, edge_px: int) -> "DrawnAugmentation":
        """Draw the augmentation of one item; always consumes the same number of random draws."""
        look = draw_augmentation(self.augmentation, rng)
        down, right, gain = rng.uniform(-1, 1, 3).tolist()
        most = self.shift * edge_px
        return DrawnAugmentation(look, round(down * most), round(right * most), gain * self.gain_db)

    def picture(self, clip: DecodedClip, start: int, drawn: "DrawnAugmentation") -> Tensor:
        """Return (F * 3, H / 2, W) uint8."""
        window_FCHW = clip.frames[start : start + self.frames]
        height, width = window_FCHW.shape[2:]
        if drawn.down or drawn.right:
            rows = np.arange(height // 2, height) - drawn.down
            columns = np.arange(width) - drawn.right
            window_FCHW = window_FCHW[:, :, rows.clip(0, height - 1)]
            window_FCHW = window_FCHW[..., columns.clip(0, width - 1)]
        else:
            window_FCHW = window_FCHW[:, :, height // 2 :]
        pixels_FCHW = augmented(window_FCHW, drawn.look).copy(order="C")
        return torch.from_numpy(pixels_FCHW).flatten(0, 1)

    def sound(self, clip: DecodedClip, start: int, drawn: "DrawnAugmentation") -> Tensor:
        """Return (1, 80, M); taken from the windows of `PrepareMel` where there are any."""
        mel_MS: NDArray[Any]
        if isinstance(clip.prepared, MelWindows):
            mel_MS = clip.prepared.window(start, self.frames)
        else:
            mel_MS = mel_window(clip.audio, start, self.frames, self.mel)
        return amplified(torch.from_numpy(mel_MS).float()[None], drawn.gain_db)


@dataclass(frozen=True, slots=True)
class DrawnAugmentation:
    """Augmentation drawn for one item; the default is the identity."""

    look: AugmentationDraw = field(default_factory=AugmentationDraw)
    down: int = 0
    right: int = 0
    gain_db: float = 0.0


def amplified(mel: Tensor, gain_db: float) -> Tensor:
    """Return the mel spectrogram after a gain of `gain_db`, except for values clipped before."""
    if not gain_db:
        return mel
    return (mel + 2 * MAX_VALUE / RANGE_DB * gain_db).clamp(-MAX_VALUE, MAX_VALUE)


@dataclass(frozen=True, slots=True)
class PairItem:
    """Makes one pair of a decoded clip: pictures of one moment, sound of the same or another.

    Items: `clip_id`, `shard`, `start_frame` (the sound's), `visual` (3 F, H / 2, W) uint8,
    `mel` (1, 80, M), `in_sync` 1.0 or 0.0.
    """

    window_config: WindowConfig = field(default_factory=WindowConfig)

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that it holds a negative."""
        return self.window_config.min_frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a pair; the loader's own start is not used, because not every one has a negative."""
        window_config = self.window_config
        pair = draw_pair(rng, clip.num_frames, window_config.frames, window_config.negatives)
        drawn = window_config.draw(rng, clip.frames.shape[3])
        return {
            "clip_id": clip.clip_id,
            "shard": clip.shard,
            "start_frame": clip.first_frame + pair.audio_start_frame,
            "visual": window_config.picture(clip, pair.visual_start_frame, drawn),
            "mel": window_config.sound(clip, pair.audio_start_frame, drawn),
            "in_sync": torch.tensor(float(pair.in_sync)),
        }


@dataclass(frozen=True, slots=True)
class WindowsItem:
    """Makes K windows of a decoded clip, every sound against every picture.

    Items: `clip_id`, `shard`, `start_frame` (the first sound's), `starts` (K,), `visual`
    (K, 3 F, H / 2, W) uint8, `mel` (K, 1, 80, M), `in_sync` (K, K) int8 as `sync_labels`.
    """

    windows: int
    window_config: WindowConfig = field(default_factory=WindowConfig)
    spread_evenly: bool = False
    """For measuring: the same windows at every call, from the clip's first to its last."""

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that it holds a negative."""
        return self.window_config.min_frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Draw windows; the loader's own start is not used. One augmentation for all of them."""
        window_config = self.window_config
        starts = self._starts(clip.num_frames, rng)
        drawn = window_config.draw(rng, clip.frames.shape[3])
        return {
            "clip_id": clip.clip_id,
            "shard": clip.shard,
            "start_frame": clip.first_frame + int(starts[0]),
            "starts": torch.from_numpy(starts),
            "visual": torch.stack([window_config.picture(clip, int(one), drawn) for one in starts]),
            "mel": torch.stack([window_config.sound(clip, int(one), drawn) for one in starts]),
            "in_sync": torch.from_numpy(
                sync_labels(starts, window_config.frames, window_config.negatives)
            ),
        }

    def _starts(self, num_frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.spread_evenly:
            return even_windows(num_frames, self.windows, self.window_config.frames)
        return draw_windows(
            rng, num_frames, self.windows, self.window_config.frames, self.window_config.negatives
        )
