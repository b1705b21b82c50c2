"""Items of SyncDiff: a frame, the one before it, an identity frame, and the frame's sound.

Shape suffixes: T frames, H and W pixels, K and D features of a frame's sound.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ParamsError
from pipeline.params.syncdiff import SyncDiffProfile
from trainers.data.augment import Augmentation, augmented, draw_augmentation
from trainers.data.clip import DecodedClip
from trainers.data.index import ShardIndex
from trainers.data.indexed_clips import decode_indexed
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_batches import ShardBatches
from trainers.data.window_items import Prepare
from trainers.frozen.audio_encoders import Windows, windows_of
from trainers.frozen.av_hubert_files import AV_HUBERT, front_name, parsed
from trainers.frozen.mel_tokens import MEL
from trainers.frozen.stand_ins import STAND_IN

WINDOW = 2
"""Frames of a window: the one before, and the target."""
AUDIO_KEY = "params.yaml: syncdiff.profiles, audio"
KNOWN_AUDIO = f"{MEL}, {AV_HUBERT}:FILE, {STAND_IN}{AV_HUBERT}"


@dataclass(frozen=True, slots=True)
class FrameItem:
    """Makes one item; all three pictures get the same augmentation.

    The loader's `prepare` must have put the front end's features into `DecodedClip.prepared`.
    Items: `clip_id`, `shard`, `start_frame` (of the frame before), `frame`, `previous`, `identity`
    (3, H, W) uint8, `tokens` (K, D) float32.
    """

    windows: Windows
    """Cuts the features of a clip into those of frames."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Take the frames, and any frame of the clip as identity."""
        drawn = draw_augmentation(self.augmentation, rng)
        numbers = [start, start + 1, int(rng.integers(clip.num_frames))]
        previous, frame, identity = torch.from_numpy(augmented(clip.frames[numbers], drawn))
        return {
            "clip_id": clip.clip_id,
            "shard": clip.shard,
            "start_frame": clip.first_frame + start,
            "frame": frame,
            "previous": previous,
            "identity": identity,
            "tokens": self.windows(clip.prepared, start + 1, 1)[0],
        }


@dataclass(frozen=True, slots=True)
class SampleClip:
    """The first frames of a held-out clip, to be dubbed for a look."""

    clip_id: str
    frames: Tensor
    """(T, 3, H, W) uint8."""
    identity: Tensor
    """(3, H, W) uint8: a frame half of the clip away."""
    tokens: Tensor
    """(T, K, D)"""


def front_of(profile: SyncDiffProfile) -> str:
    """Return the name of the profile's frozen front end, for `load_audio_encoder`.

    Raises:
        ParamsError: the profile names none that this system has.
    """
    if profile.audio == MEL:
        return MEL
    front = front_name(profile.audio, profile.frozen_layers)
    try:
        parsed(front)
    except ParamsError:
        raise ParamsError(f"{AUDIO_KEY}: {profile.audio!r}; known: {KNOWN_AUDIO}") from None
    return front


def item_of(profile: SyncDiffProfile, augment: bool) -> FrameItem:
    """Return the profile's item; validation frames are never augmented."""
    look = Augmentation(**profile.augmentation.model_dump()) if augment else Augmentation()
    return FrameItem(windows_of(front_of(profile)), look)


def batches(
    profile: SyncDiffProfile,
    index: ShardIndex,
    prepare: Prepare,
    augment: bool,
    workers: int = 0,
) -> ShardBatches:
    """Return the frames of an index as batches for the loop."""
    return ShardBatches(partial(_loader, profile, index, prepare, augment, workers))


def sample_clips(profile: SyncDiffProfile, index: ShardIndex, prepare: Prepare) -> list[SampleClip]:
    """Return the beginnings of the first clips of an index.

    Raises:
        DecodeError: one does not decode.
    """
    return [_sample(profile, index, prepare, n) for n in range(len(index))[: profile.sample_clips]]


def _sample(
    profile: SyncDiffProfile, index: ShardIndex, prepare: Prepare, number: int
) -> SampleClip:
    clip = decode_indexed(index, number, profile.resolution_px)
    frames = min(profile.sample_frames, clip.num_frames)
    shown = torch.from_numpy(clip.frames)
    tokens = windows_of(front_of(profile))(prepare(clip), 0, frames)
    return SampleClip(clip.clip_id, shown[:frames], shown[clip.num_frames // 2], tokens)


def _loader(
    profile: SyncDiffProfile,
    index: ShardIndex,
    prepare: Prepare,
    augment: bool,
    workers: int,
    rank: int,
    size: int,
) -> Loader:
    order = OrderConfig.of(profile)
    config = LoaderConfig(
        order=order,
        window_frames=WINDOW,
        size_px=profile.resolution_px,
        rank=rank,
        world_size=size,
        workers=workers,
    )
    return Loader(index, item_of(profile, augment), config, prepare)
