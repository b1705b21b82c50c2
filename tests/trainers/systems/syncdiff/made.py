"""Small profiles, batches and tasks of SyncDiff for its tests."""

import numpy as np
import torch

from pipeline.params.fit import FitParams
from pipeline.params.syncdiff import SyncDiffProfile
from tests.trainers.data.made_shards import write_shards
from trainers.data.clip import DecodedClip
from trainers.data.collation import collated
from trainers.data.shard_urls import shard_urls
from trainers.frozen.mel_tokens import MelTokens
from trainers.systems.syncdiff.configs import NetworkSizes
from trainers.systems.syncdiff.items import item_of
from trainers.systems.syncdiff.training import SyncDiffShards, new_task

SIZE_PX = 32
SMALL = NetworkSizes(widths=(32, 32), heads=(2, 2), attention=(True, False), layers_per_block=1)
FIT = FitParams(max_steps=2, learning_rate=1e-3, save_every=1, validate_every=2, log_every=1)
PUBLISHED = {"prediction": "epsilon", "timestep_power": 1.0, "hole_loss": False}
NO_NOISE = {"pose_noise": 0.0, "token_noise": 0.0}


def profile_of(**changes):
    base = {"network": "small", "resolution_px": SIZE_PX, "batch": 2, "sample_clips": 0}
    base |= {"validation_batches": 1, "in_flight_clips": 2, "windows_per_clip": 4, "fit": FIT}
    return SyncDiffProfile(**{**base, **changes})


def clip_of(frames=12, seed=0, prepare=None):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 255, (frames, 3, SIZE_PX, SIZE_PX)).astype(np.uint8)
    sound = rng.integers(-3000, 3000, frames * 640).astype(np.int16)
    clip = DecodedClip(f"clip{seed}", "s.tar", pictures, sound)
    clip.prepared = (prepare or (lambda one: MelTokens().features([one.audio])[0]))(clip)
    return clip


def batch_of(profile, prepare=None, items=2):
    item = item_of(profile, augment=False)
    made = [
        item(clip_of(seed=seed, prepare=prepare), 3 + seed, np.random.default_rng(seed))
        for seed in range(items)
    ]
    keys = [str(number) for number in range(items)]
    return {**collated(made), "keys": keys, "item_seeds": torch.arange(items) + 7}


def task_of(profile):
    task = new_task(profile)
    torch.manual_seed(3)
    for parameter in task.network.unet.conv_out.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # zeros would hide what goes in
    return task


def shards_in(folder, lengths=((20, 24), (30,))):
    urls = shard_urls(write_shards(folder, lengths))
    return SyncDiffShards(train=urls, validation=urls[:1])
