"""Small profiles, files, batches and tasks of the generators for their tests."""

from dataclasses import replace

import numpy as np
import torch

from pipeline.params.fit import FitParams
from pipeline.params.neighbours import TalkerProfile
from tests.trainers.data.made_shards import write_shards
from trainers.audio.mel_windows import PrepareMel
from trainers.data.clip import DecodedClip
from trainers.data.collation import collated
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.frozen.registry import trained
from trainers.systems.avsyncnet.configs import CONFIGS as SYNC_CONFIGS
from trainers.systems.avsyncnet.files import load_safetensors as load_avsyncnet
from trainers.systems.avsyncnet.files import save_safetensors as save_avsyncnet
from trainers.systems.avsyncnet.network import AvSyncNet
from trainers.systems.stabilized.configs import TalkerConfig
from trainers.systems.stabilized.files import save_safetensors
from trainers.systems.stabilized.items import TalkerItem
from trainers.systems.stabilized.network import TalkerGenerator
from trainers.systems.stabilized.training import (
    HEARD_WITH,
    frozen_parts,
    new_task,
)

SIZE_PX = 32
SMALL = TalkerConfig(resolution=SIZE_PX, stem=4, widths=(8, 8), sound=16, judge_widths=(8, 8))
FIT = FitParams(
    max_steps=2,
    optimizer="adam",
    learning_rate=1e-3,
    beta1=0.5,
    weight_decay=0.0,
    max_grad_norm=None,
    save_every=1,
    validate_every=2,
    log_every=1,
)


def files_in(folder, seed=0):
    """Write an AVSyncNet and a G_S that hears with it; return their keys of a profile."""
    torch.manual_seed(seed)
    config = replace(SYNC_CONFIGS["tiny"], embedding=SMALL.sound, resolution=SIZE_PX)
    sync, silent = folder / "avsyncnet.safetensors", folder / "generator.safetensors"
    save_avsyncnet(sync, AvSyncNet(config))
    digest = dict(trained(sync, load_avsyncnet, "avsyncnet").sha256)
    save_safetensors(silent, TalkerGenerator(SMALL), {HEARD_WITH: digest})
    return {"avsyncnet": str(sync), "silent_lip": str(silent)}


def profile_of(files, **changes):
    base = {"network": "small", "batch": 2, "sample_clips": 0, "validation_batches": 1}
    base |= {"in_flight_clips": 2, "windows_per_clip": 4, "fit": FIT, **files}
    return TalkerProfile(**{**base, **changes})


def clip_of(frames=20, seed=0):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 255, (frames, 3, SIZE_PX, SIZE_PX)).astype(np.uint8)
    sound = rng.integers(-3000, 3000, frames * 640).astype(np.int16)
    clip = DecodedClip(f"clip{seed}", "s.tar", pictures, sound)
    clip.prepared = PrepareMel()(clip)
    return clip


def batch_of(items=2):
    made = [TalkerItem()(clip_of(seed=n), 3 + n, np.random.default_rng(n)) for n in range(items)]
    keys = [str(number) for number in range(items)]
    return {**collated(made), "keys": keys, "item_seeds": torch.arange(items) + 7}


def task_of(profile):
    return new_task("stabilized", profile, frozen_parts(profile))


def shards_in(folder, lengths=((20, 24), (30,))):
    urls = shard_urls(write_shards(folder, lengths))
    return SplitUrls(train=urls, validation=urls[:1])
