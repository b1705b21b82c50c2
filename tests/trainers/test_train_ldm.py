"""A profile that starts where another one's run ended."""

import pytest

from pipeline.errors import ParamsError
from pipeline.params.training import LdmProfile, TrainLdmParams
from tests.trainers.data.made_shards import write_shards
from trainers.data.shard_urls import shard_urls
from trainers.systems.latentsync.bundle import UNET_FILE
from trainers.systems.latentsync.training import LdmShards, run_folder
from trainers.train_ldm import MODEL, with_start

ONLY_NOISE = {"sync_weight": 0.0, "lpips_weight": 0.0, "trepa_weight": 0.0}


def section_of(**starts):
    profiles = {name: LdmProfile(start=start, **ONLY_NOISE) for name, start in starts.items()}
    return TrainLdmParams(profiles=profiles, profile=next(iter(profiles)))


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path / "training"))
    urls = shard_urls(write_shards(tmp_path / "data", [[48]]))
    return LdmShards(train=urls, validation=urls)


def test_it_starts_from_the_file_the_other_run_left(shards):
    section = section_of(second="profile:first", first="")
    with pytest.raises(ParamsError, match=r"profiles.second.start.*not been trained.*=first"):
        with_start(section, "second", shards)
    weights = run_folder(section.profiles["first"], shards) / MODEL / UNET_FILE
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"x")
    found = with_start(section, "second", shards)
    assert found.start.endswith(UNET_FILE)
    run_folder(found, shards)  # the file is found from here


def test_profiles_that_start_from_each_other_or_from_nobody_are_refused(shards):
    section = section_of(a="profile:b", b="profile:a", c="profile:x")
    with pytest.raises(ParamsError, match="would start from itself"):
        with_start(section, "a", shards)
    with pytest.raises(ParamsError, match="'x' is none of a, b, c"):
        with_start(section, "c", shards)
