"""Items of AVSyncNet: five frames of the lower half face and 16 mel columns, in sync or not.

They are cut as StableSyncNet's: the face is the whole aligned crop, which is tight by construction
(of 256 pixels, the eyes lie at rows 60 to 90 and the chin above row 243), and the picture is its
lower half, rows 128 to 255: nose tip to chin. Negatives share no frame with the right window.
"""

from functools import partial

from pipeline.params.neighbours import AvSyncNetProfile
from trainers.audio.mel_windows import PrepareMel
from trainers.data.augment import Augmentation
from trainers.data.each_clip_once import each_clip_once
from trainers.data.index import ShardIndex
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_batches import ShardBatches
from trainers.data.window_items import MakeItem
from trainers.loop.validation import Validation
from trainers.processes.world import World
from trainers.systems.avsyncnet.configs import FRAMES
from trainers.systems.stable_syncnet.items import PairItem, WindowConfig, WindowsItem

MIN_FRAMES = WindowConfig(frames=FRAMES).min_frames
"""Of a clip, so that every sound has a negative."""


def item_of(profile: AvSyncNetProfile) -> MakeItem:
    """Return what makes a training item of a clip."""
    cut = WindowConfig(
        frames=FRAMES,
        augmentation=Augmentation(**profile.augmentation.model_dump()),
        shift=profile.shift,
    )
    return PairItem(cut) if profile.item == "pair" else WindowsItem(profile.windows, cut)


def training_source(
    profile: AvSyncNetProfile, resolution: int, index: ShardIndex, workers: int = 0
) -> ShardBatches:
    """Return the training batches of faces of this edge."""
    order = OrderConfig.of(profile)
    return ShardBatches(partial(_loader, resolution, index, item_of(profile), order, workers))


def validation_of(
    profile: AvSyncNetProfile, resolution: int, index: ShardIndex, world: World
) -> Validation:
    """Return the held-out clips, each once, with the same windows every time."""
    cut = WindowConfig(frames=FRAMES)
    item = WindowsItem(profile.validation_windows, cut, spread_evenly=True)
    one_by_one = partial(_one_by_one, profile.fit.seed, resolution, index, item)
    return each_clip_once(one_by_one, index, profile.validation_clips, world)


def _one_by_one(
    seed: int, resolution: int, index: ShardIndex, item: MakeItem, rank: int, size: int
) -> Loader:
    order = OrderConfig.one_by_one(seed, size)
    return _loader(resolution, index, item, order, 0, rank, size)


def _loader(
    resolution: int,
    index: ShardIndex,
    item: MakeItem,
    order: OrderConfig,
    workers: int,
    rank: int,
    size: int,
) -> Loader:
    config = LoaderConfig(
        order=order,
        window_frames=FRAMES,
        size_px=resolution,
        rank=rank,
        world_size=size,
        workers=workers,
    )
    return Loader(index, item, config, PrepareMel())
