"""A profile that starts where another one's run ended."""

from dataclasses import asdict

import pytest

from pipeline.errors import ParamsError
from pipeline.params.fit import FitParams
from pipeline.params.training import FeaturesParams, LdmProfile, TrainLdmParams
from tests.trainers.data.made_shards import write_shards
from trainers import train_ldm
from trainers.data.shard_urls import shard_urls
from trainers.processes.world import World
from trainers.systems.latentsync.bundle import UNET_FILE, read_facts
from trainers.systems.latentsync.training import LdmShards, run_folder
from trainers.train_ldm import MODEL, run, with_start

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


def test_other_sampling_reaches_the_model_of_a_finished_run_without_training(shards, monkeypatch):
    fit = FitParams(max_steps=1)
    base = LdmProfile(frames=4, sample_clips=0, validation_batches=1, fit=fit, **ONLY_NOISE)
    found = []
    monkeypatch.setattr(train_ldm, "_run_preflight", lambda *_: None)  # both splits are one here
    for profile in (base, base.model_copy(update={"sample_steps": 5, "sample_guidance": 2.0})):
        folder = run_folder(profile, shards)
        config = {
            "name": "tiny",
            "preflight_steps": 0,
            "profile": profile.model_dump(),
            "features": FeaturesParams().model_dump(),
            "shards": asdict(shards),
            "folder": str(folder),
        }
        run(config, World(), None)
        found.append((folder, read_facts(folder / MODEL)["sampling"]))
        monkeypatch.setattr("trainers.loop.fit._train", lambda *_: pytest.fail("trained again"))
    (one, before), (other, after) = found
    assert one == other
    assert (before["steps"], after["steps"], after["guidance"]) == (base.sample_steps, 5, 2.0)


def test_profiles_that_start_from_each_other_or_from_nobody_are_refused(shards):
    section = section_of(a="profile:b", b="profile:a", c="profile:x")
    with pytest.raises(ParamsError, match="would start from itself"):
        with_start(section, "a", shards)
    with pytest.raises(ParamsError, match="'x' is none of a, b, c"):
        with_start(section, "c", shards)


@pytest.mark.parametrize(
    ("key", "used", "known"),
    [
        ("whisper", {}, r"mel, tiny, small, stand-in:"),
        ("vae", {}, "sd-vae-ft-mse, .*, pixels-8"),
        ("lpips", {"lpips_weight": 0.1}, "lpips-vgg"),
        ("videomae", {"trepa_weight": 1.0}, "videomae-v2-giant"),
    ],
)
def test_an_unknown_network_is_named_with_file_and_key_before_any_work(shards, key, used, known):
    profile = LdmProfile(**{**ONLY_NOISE, **used, key: "bogus"})
    section = TrainLdmParams(profiles={"small": profile}, profile="small")
    match = rf"params.yaml: train_ldm.profiles.small.{key}: .*'bogus'.*known: {known}"
    with pytest.raises(ParamsError, match=match):
        with_start(section, "small", shards)
    unused = LdmProfile(**ONLY_NOISE, lpips="bogus", videomae="bogus")
    section = TrainLdmParams(profiles={"small": unused}, profile="small")
    assert with_start(section, "small", shards) == unused


def test_a_file_or_a_folder_is_an_encoder_too(shards, tmp_path):
    profile = LdmProfile(**ONLY_NOISE, whisper=str(tmp_path))
    section = TrainLdmParams(profiles={"small": profile}, profile="small")
    assert with_start(section, "small", shards) == profile
