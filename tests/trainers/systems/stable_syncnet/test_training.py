"""StableSyncNet from shards, through the loop."""

from dataclasses import replace

import pytest
import torch

from pipeline.errors import ParamsError
from pipeline.params.fit import FitParams
from pipeline.params.training import SyncnetProfile
from tests.trainers.data.made_shards import write_shards
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.loop.players import new_players
from trainers.loop.step import train_step
from trainers.processes.world import World
from trainers.systems.stable_syncnet import training
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.training import (
    index_splits,
    network_config,
    new_task,
    run_folder,
    train,
    training_source,
    validation_of,
)

FIT = FitParams(max_steps=2, save_every=1, validate_every=2, log_every=1, warmup_steps=0)
PROFILE = SyncnetProfile(batch=2, windows=3, validation_windows=2, dropout=0.1, fit=FIT)
METRICS = {"loss", "accuracy", "ranked", "cosine_in_sync", "cosine_out_of_sync"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    urls = shard_urls(write_shards(tmp_path_factory.mktemp("shards"), [[40, 44], [48]]))
    return SplitUrls(train=urls, validation=urls)


def test_training_from_shards_ends_resumes_and_gives_one_set_of_weights(
    shards, tmp_path, monkeypatch
):
    states = []
    for folder, stop_early in (("whole", False), ("parts", True)):
        monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path / folder))
        task, outcome = train(PROFILE, shards, World())
        if stop_early:
            for path in run_folder(PROFILE, shards).glob("step-00000002.pt"):
                path.unlink()
            task, outcome = train(PROFILE, shards, World())
        assert (outcome.step, outcome.finished) == (2, "max_steps")
        assert set(outcome.metrics) == METRICS
        states.append(task.syncnet.state_dict())
    whole, parts = states
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("item", ["windows", "pair"])
def test_micro_batches_give_the_gradient_of_the_whole_batch(item, shards):
    profile = PROFILE.model_copy(update={"item": item, "dropout": 0.0})
    batch = training_source(profile, index_splits(profile, shards)[0]).batch_at(0, 0, 1)
    norms = []
    for micro_batch in (None, 1):
        fit = FIT.model_copy(update={"micro_batch": micro_batch})
        task = new_task(profile)
        players = new_players(task, fit, World())
        norms.append(train_step(task, players, batch, 0, fit, World())["syncnet/gradient_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_every_held_out_clip_is_measured_once_whatever_the_number_of_processes(shards):
    measure = index_splits(PROFILE, shards)[1]
    seen = []
    for size in (1, 2):
        validation = validation_of(PROFILE, measure, World(rank=0, size=size))
        source = validation.source
        parts = [
            source.batch_at(number, rank, size)
            for number in range(validation.batches)
            for rank in range(size)
        ]
        seen.append([(part["clip_id"], part["visual"].sum()) for part in parts if part["keys"]])
    assert seen[0] == seen[1]
    assert sorted(clip for (clip,), _ in seen[0]) == ["clip000", "clip001", "clip002"]


def test_a_new_version_of_the_trainer_starts_anew(shards, monkeypatch):
    folder = run_folder(PROFILE, shards)
    assert folder == run_folder(PROFILE, shards)
    monkeypatch.setattr(training, "VERSION", training.VERSION + 1)
    assert folder != run_folder(PROFILE, shards)


def test_other_sizes_behind_the_same_network_are_another_run(shards, monkeypatch):
    folder = run_folder(PROFILE, shards)
    tiny = CONFIGS["tiny"]
    plain = replace(tiny.audio, attention=(False,) * len(tiny.audio.attention))
    monkeypatch.setitem(CONFIGS, "tiny", replace(tiny, audio=plain))
    assert folder != run_folder(PROFILE, shards)


def test_first_weights_come_from_the_seed_alone():
    first, second = new_task(PROFILE), new_task(PROFILE)
    other = new_task(PROFILE.model_copy(update={"fit": FIT.model_copy(update={"seed": 1})}))
    name = "visual_encoder.conv_in.weight"
    weights = [task.syncnet.state_dict()[name] for task in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", ["no_such", "syncnet_16_latent"])
def test_a_network_that_cannot_be_trained_here_is_refused_by_name(name):
    with pytest.raises(ParamsError, match=rf"network: '{name}'.*syncnet_16_pixel_attn"):
        network_config(SyncnetProfile(network=name))


def test_dropout_is_the_profiles():
    config = network_config(PROFILE)
    assert (config.audio.dropout, config.visual.dropout) == (0.1, 0.1)
