"""One rank of two that trains both models: `python -m tests.trainers.processes.saving_run FOLDER`.

Saving is slow; each rank notes which files were there when its run returned.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from pipeline.params.fit import FitParams
from pipeline.params.training import FeaturesParams, LdmProfile, SyncnetProfile
from trainers import train_ldm, train_syncnet
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.processes.world import World, joined
from trainers.systems.latentsync.training import LdmShards

FIT = FitParams(max_steps=1)


def slow(module, name):
    save = getattr(module, name)
    setattr(module, name, lambda *given: (time.sleep(2), save(*given))[1])


def ldm_files(shards, folder, world: World):
    alone = {"sync_weight": 0.0, "lpips_weight": 0.0, "trepa_weight": 0.0}
    profile = LdmProfile(batch=2, frames=4, sample_clips=0, validation_batches=1, fit=FIT, **alone)
    config = {
        "name": "tiny",
        "preflight_steps": 0,
        "profile": profile.model_dump(),
        "features": FeaturesParams().model_dump(),
        "shards": asdict(LdmShards(train=shards, validation=shards)),
        "folder": str(folder),
    }
    train_ldm.run(config, world, None)
    return sorted(path.name for path in (folder / train_ldm.MODEL).glob("*"))


def syncnet_files(shards, folder, world: World):
    profile = SyncnetProfile(batch=2, windows=2, validation_windows=2, fit=FIT.model_copy())
    config = {
        "name": "tiny",
        "profile": profile.model_dump(),
        "shards": asdict(SplitUrls(train=shards, validation=shards)),
        "folder": str(folder),
    }
    train_syncnet.run(config, world, None)
    return sorted(path.name for path in folder.glob("stable_syncnet.*"))


def main():
    torch.set_num_threads(1)
    shards, folder = shard_urls(sys.argv[1]), Path(sys.argv[2])
    slow(train_ldm, "save_bundle")
    slow(train_syncnet, "save_checkpoint")
    for module in (train_ldm, train_syncnet):  # both splits are one here
        module._run_preflight = lambda *given: None
    with joined() as world:
        seen = {
            "ldm": ldm_files(shards, folder / "ldm", world),
            "syncnet": syncnet_files(shards, folder / "syncnet", world),
        }
        (folder / f"rank{world.rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
