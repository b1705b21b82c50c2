"""Items of the generators: five frames, five pictures of another moment, and the frames' sounds.

The sound of a frame is the mel window of the five frames around it, as Wav2Lip's, so the window of
the frame in the middle is that of the item: what AVSyncNet compares the five frames with.

Shape suffixes: T frames of a clip, F frames of a window, H and W pixels, M mel bands, S columns.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.params.neighbours import TalkerProfile
from pipeline.tables.rows import SAMPLES_PER_FRAME
from trainers.audio.mel import HOP_SAMPLES, mel_columns
from trainers.audio.mel_windows import MelWindows, PrepareMel
from trainers.data.augment import Augmentation, augmented, draw_augmentation
from trainers.data.clip import DecodedClip
from trainers.data.index import ShardIndex
from trainers.data.indexed_clips import decode_indexed
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_batches import ShardBatches
from trainers.data.window_items import non_overlapping_start
from trainers.systems.avsyncnet.configs import FRAMES, MEL_SHAPE

BEFORE = FRAMES // 2
"""Frames of sound before and behind the frame it belongs to."""
WINDOW = FRAMES + 2 * BEFORE
"""Frames of a clip that an item's sounds lie in."""
MIN_FRAMES = 3 * FRAMES + BEFORE - 1
"""Of a clip, so that every window has pictures of another moment."""


@dataclass(frozen=True, slots=True)
class TalkerItem:
    """Makes one item; both windows get the same augmentation.

    The loader's `prepare` must be `PrepareMel`. Items: `clip_id`, `shard`, `start_frame` (of the
    first picture), `frames` and `reference` (F, 3, H, W) uint8, `mel` (F, 1, 80, 16).
    """

    augmentation: Augmentation = field(default_factory=Augmentation)

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Take the window, and another one of the clip that shares no frame with it."""
        drawn, first = draw_augmentation(self.augmentation, rng), start + BEFORE
        other = non_overlapping_start(clip.num_frames, first, FRAMES, rng)
        numbers = [*range(first, first + FRAMES), *range(other, other + FRAMES)]
        pictures = torch.from_numpy(augmented(clip.frames[numbers], drawn))
        windows: MelWindows = clip.prepared
        mel = [torch.from_numpy(windows.window(start + n, FRAMES)) for n in range(FRAMES)]
        return {
            "clip_id": clip.clip_id,
            "shard": clip.shard,
            "start_frame": clip.first_frame + first,
            "frames": pictures[:FRAMES],
            "reference": pictures[FRAMES:],
            "mel": torch.stack(mel)[:, None].float(),
        }


@dataclass(frozen=True, slots=True)
class PaintedSample:
    """The first frames of a held-out clip, to be dubbed for a look."""

    clip_id: str
    frames: Tensor
    """(T, 3, H, W) uint8."""
    reference: Tensor
    """(T, 3, H, W) uint8: for each frame the one half of the clip away."""
    mel: Tensor
    """(T, 1, 80, 16)"""


def mel_of_frames(audio_N: Any, first: int, count: int) -> Tensor:
    """Return the sounds (F, 1, 80, 16) of frames [first, first + count); silence beyond the ends.

    Args:
        audio_N: 16 kHz mono, int16; sample 0 is at the start of frame 0.
    """
    columns = HOP_SAMPLES * np.arange(MEL_SHAPE[2])
    starts = SAMPLES_PER_FRAME * (np.arange(first, first + count) - BEFORE)
    centres = (starts[:, None] + columns).reshape(-1)
    mel_MX = torch.from_numpy(mel_columns(audio_N, centres)).float()
    return mel_MX.reshape(MEL_SHAPE[1], count, MEL_SHAPE[2]).transpose(0, 1)[:, None].contiguous()


def batches(
    profile: TalkerProfile, resolution: int, index: ShardIndex, augment: bool, workers: int = 0
) -> ShardBatches:
    """Return the windows of an index as batches for the loop; faces of this edge."""
    look = Augmentation(**profile.augmentation.model_dump()) if augment else Augmentation()
    return ShardBatches(partial(_loader, profile, resolution, index, TalkerItem(look), workers))


def sample_clips(profile: TalkerProfile, resolution: int, index: ShardIndex) -> list[PaintedSample]:
    """Return the beginnings of the first clips of an index.

    Raises:
        DecodeError: one does not decode.
    """
    numbers = range(len(index))[: profile.sample_clips]
    return [_sample(profile.sample_frames, resolution, index, number) for number in numbers]


def _sample(most: int, resolution: int, index: ShardIndex, number: int) -> PaintedSample:
    clip = decode_indexed(index, number, resolution)
    frames = min(most, clip.num_frames)
    shown = torch.from_numpy(clip.frames)
    other = [(frame + clip.num_frames // 2) % clip.num_frames for frame in range(frames)]
    return PaintedSample(
        clip.clip_id, shown[:frames], shown[other], mel_of_frames(clip.audio, 0, frames)
    )


def _loader(
    profile: TalkerProfile,
    resolution: int,
    index: ShardIndex,
    item: TalkerItem,
    workers: int,
    rank: int,
    size: int,
) -> Loader:
    order = OrderConfig.of(profile)
    config = LoaderConfig(
        order=order,
        window_frames=WINDOW,
        size_px=resolution,
        rank=rank,
        world_size=size,
        workers=workers,
    )
    return Loader(index, item, config, PrepareMel())
