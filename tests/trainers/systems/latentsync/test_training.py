"""The diffusion trainer: what a step looks at, what it draws, and that a run resumes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import ParamsError, WeightsError
from pipeline.params.fit import FitParams
from pipeline.params.training import AugmentationParams, LdmProfile
from pipeline.weights.files import weights_file_sha256
from tests.trainers.data.made_shards import write_shards
from trainers.data.clip import DecodedClip
from trainers.data.collation import collated
from trainers.data.shard_urls import shard_urls
from trainers.errors import TrainingDataError
from trainers.loop.fit import RunOptions
from trainers.processes.world import World
from trainers.systems.latentsync.bundle import load_bundle, save_bundle
from trainers.systems.latentsync.configs import STAGES, UNetConfig
from trainers.systems.latentsync.files import save_safetensors as save_safetensors_unet
from trainers.systems.latentsync.frozen_networks import load_frozen_networks, new_unet
from trainers.systems.latentsync.items import SpeakingItem
from trainers.systems.latentsync.step_draws import draw_step
from trainers.systems.latentsync.task import LatentDiffusion
from trainers.systems.latentsync.training import LdmShards, bundle_facts, run_folder, train
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.files import save_safetensors
from trainers.systems.stable_syncnet.network import StableSyncNet

SILENT = {"sync_weight": 0.0, "lpips_weight": 0.0, "trepa_weight": 0.0}
PUBLISHED = {
    "prediction": "epsilon",
    "timestep_power": 1.0,
    "hole_loss": False,
    "token_noise": 0.0,
    "audio_dropout": 0.0,
    "augmentation": AugmentationParams(),
}
STAND_INS = {
    "vae": "stand-in:blocks",
    "whisper": "stand-in:whisper-tiny",
    "lpips": "stand-in:lpips-vgg",
    "videomae": "stand-in:videomae-v2-giant",
}
FIT = FitParams(max_steps=2, learning_rate=1e-3, save_every=1, validate_every=2, log_every=1)


@pytest.fixture(autouse=True)
def small_stages(monkeypatch):
    unet = UNetConfig(widths=(32, 32, 32, 32), motion="none")
    image = replace(STAGES["tiny"], unet=unet, resolution_px=64)
    monkeypatch.setitem(STAGES, "test", image)
    video = replace(image, unet=replace(unet, motion="decoder"), trained=("motion_modules.",))
    monkeypatch.setitem(STAGES, "test_video", video)


def profile_of(**changes):
    base = {"stage": "test", "frames": 4, "validation_batches": 1, "sample_clips": 0, "fit": FIT}
    base |= {**PUBLISHED, **STAND_INS, "batch": 1, "gate": "cutoff"}
    return LdmProfile(**{**base, **SILENT, "gradient_checkpointing": False, **changes})


def heard(clip):
    """Stands for Whisper's features: tells the clip apart, costs nothing."""
    rng = np.random.default_rng(clip.num_frames)
    return torch.from_numpy(rng.standard_normal((2 * clip.num_frames, 5, 384), np.float32))


def batch_of(profile, clips=2, seed=0):
    rng = np.random.default_rng(seed)
    item_of, items = SpeakingItem(profile.frames), []
    for number in range(clips):
        length = item_of.min_frames + 5 + number
        frames = rng.integers(0, 255, (length, 3, 64, 64)).astype(np.uint8)
        sound = rng.integers(-3000, 3000, length * 640).astype(np.int16)
        clip = DecodedClip(f"clip{number}", "s.tar", frames, sound)
        clip.prepared = heard(clip)
        items.append(item_of(clip, 3, np.random.default_rng(number)))
    return {**collated(items), "keys": list("ab")[:clips], "item_seeds": torch.arange(clips) + 7}


def task_of(profile, sample_batches=()):
    torch.manual_seed(0)
    task = LatentDiffusion(
        profile, new_unet(profile), load_frozen_networks(profile), sample_batches
    )
    for parameter in task.unet.net.conv_out.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # zeros would hide what goes in
    return task


@pytest.fixture
def syncnet(tmp_path):
    path = tmp_path / "stable_syncnet.safetensors"
    torch.manual_seed(1)
    save_safetensors(path, StableSyncNet(CONFIGS["tiny"]))
    return str(path)


def shards_in(folder, lengths=((20, 24), (30,))):
    urls = shard_urls(write_shards(folder, lengths))
    return LdmShards(train=urls, validation=urls[:1])


# --- what a step looks at


def test_an_item_has_the_sound_of_its_frames_and_a_reference_apart_from_them():
    rng = np.random.default_rng(0)
    frames = np.arange(60, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 3, 8, 8), np.uint8)
    sound = rng.integers(-3000, 3000, 60 * 640).astype(np.int16)
    steps = torch.arange(120.0)[:, None, None].expand(120, 5, 384)
    clip = DecodedClip("c", "s.tar", frames, sound, steps)
    item = SpeakingItem(16)(clip, 20, rng)
    assert item["frames"][:, 0, 0, 0].tolist() == list(range(20, 36))
    assert not set(item["reference"][:, 0, 0, 0].tolist()) & set(range(20, 36))
    assert item["tokens"].shape == (16, 50, 384)
    assert item["tokens"][3, ::5, 0].tolist() == list(range(2 * 23 - 4, 2 * 23 + 6))
    assert item["mel"].shape == (1, 80, 52)


def test_all_four_losses_come_from_one_step_and_reach_every_trained_parameter(syncnet):
    profile = profile_of(
        frames=16,
        syncnet=syncnet,
        sync_weight=0.05,
        lpips_weight=0.1,
        trepa_weight=10.0,
        antialias=True,
        gradient_checkpointing=True,
    )
    task = task_of(profile)
    terms = task.losses(batch_of(profile, 1), "unet")
    assert list(terms) == ["noise", "sync", "lpips", "trepa"]
    torch.stack([terms[name] for name in ("sync", "lpips", "trepa")]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.unet.parameters())
    assert not any(p.requires_grad for p in task.frozen_modules.parameters())


def test_a_loss_of_weight_0_has_no_network_and_needs_no_file():
    profile = profile_of(lpips_weight=0.1, syncnet="nowhere.safetensors", videomae="no such part")
    task = task_of(profile)
    assert set(task.frozen_modules) == {"vae", "lpips"}
    assert list(task.losses(batch_of(profile), "unet")) == ["noise", "lpips"]


def test_a_batch_gives_the_mean_of_its_clips():
    profile = profile_of(lpips_weight=0.1, gate="snr")
    task, batch = task_of(profile), batch_of(profile)
    whole = task.losses(batch, "unet")
    halves = [
        task.losses({name: value[place : place + 1] for name, value in batch.items()}, "unet")
        for place in (0, 1)
    ]
    for name, value in whole.items():
        mean = (halves[0][name] + halves[1][name]) / 2
        assert torch.allclose(value, mean, rtol=1e-4), name


def test_clips_above_the_cutoff_are_not_decoded_and_count_as_0(monkeypatch):
    profile = profile_of(lpips_weight=0.1, gate="cutoff", gate_max_timestep=500)
    task, batch = task_of(profile), batch_of(profile)
    sample_batches = []
    vae = task.networks.vae.network
    decode = vae.decode
    monkeypatch.setattr(
        vae, "decode", lambda latents: (sample_batches.append(len(latents)), decode(latents))[1]
    )
    batch["item_seeds"] = torch.tensor([6, 7])  # timesteps 130 and 615
    timesteps = draw_step(batch["item_seeds"], (4, 4, 8, 8), 1.0, 0.0).timesteps
    assert sorted((timesteps <= 500).tolist()) == [False, True]
    mixed = task.losses(batch, "unet")
    assert sample_batches == [profile.frames]
    low = int((timesteps <= 500).nonzero()[0])
    one = {name: value[low : low + 1] for name, value in batch.items()}
    assert torch.allclose(mixed["lpips"], task.losses(one, "unet")["lpips"] / 2, rtol=1e-4)
    high = {name: value[1 - low : 2 - low] for name, value in batch.items()}
    sample_batches.clear()
    terms = task.losses(high, "unet")
    assert (sample_batches, terms["lpips"].item()) == ([], 0.0)
    terms["lpips"].backward()  # still part of the graph, or DDP would wait for it


# --- what it draws


def test_an_item_draws_the_same_alone_and_in_a_batch():
    seeds, shape = torch.tensor([5, 6, 7]), (4, 3, 8, 8)
    whole, one = draw_step(seeds, shape, 1.0, 0.5), draw_step(seeds[1:2], shape, 1.0, 0.5)
    assert torch.equal(whole.timesteps[1:2], one.timesteps)
    assert torch.equal(whole.noise[1:2], one.noise)
    assert torch.equal(
        whole.noise, draw_step(seeds, shape, 1.0, 0.0).noise
    )  # silence moves nothing


def test_the_share_of_clips_without_sound_is_the_asked_one():
    silent = draw_step(torch.arange(3000), (1, 1, 1, 1), 0.0, 0.3).silent
    assert float(silent.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert not draw_step(torch.arange(50), (1, 1, 1, 1), 0.0, 0.0).silent.any()


def test_a_clip_without_sound_hears_zeros_in_training_and_its_sound_in_validation():
    profile = profile_of(audio_dropout=1.0)
    task, batch = task_of(profile), batch_of(profile)
    hushed = {**batch, "tokens": torch.zeros_like(batch["tokens"])}
    with torch.no_grad():
        assert task.losses(batch, "unet") == task.losses(hushed, "unet")
        assert task.validate(batch)["noise"] != task.validate(hushed)["noise"]


def test_validation_measures_the_same_whatever_was_drawn_before():
    profile = profile_of()
    task, batch = task_of(profile), batch_of(profile)
    with torch.no_grad():
        first = task.validate(batch)
        torch.randn(10)
        again = task.validate(batch)
    assert first == again
    assert set(first) == {"noise", "mouth_psnr_db"}


# --- a run


def test_a_run_that_was_cut_gives_the_weights_of_one_that_was_not(tmp_path):
    shards = shards_in(tmp_path)
    fit = FitParams(**{**FIT.model_dump(), "ema_decay": 0.9, "warmup_steps": 1})
    profile = profile_of(batch=2, lpips_weight=0.1, audio_dropout=0.5, fit=fit)
    whole, _ = train(profile, shards, World(), RunOptions(), tmp_path / "a", heard)
    train(profile, shards, World(), RunOptions(), tmp_path / "b", heard)
    (tmp_path / "b" / "step-00000002.pt").unlink()
    parts, outcome = train(profile, shards, World(), RunOptions(), tmp_path / "b", heard)
    assert (outcome.step, outcome.finished) == (2, "max_steps")
    state = parts.unet.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.unet.state_dict().items())
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (
        tmp_path / "b/metrics.jsonl"
    ).read_bytes()
    before = new_unet(profile).state_dict()
    assert not all(torch.equal(value, state[name]) for name, value in before.items())


def test_a_second_stage_starts_from_the_first_ones_model_and_trains_its_own_part(tmp_path):
    first = profile_of(stage="test")
    task = task_of(first)
    save_safetensors_unet(tmp_path / "first" / "unet.safetensors", task.unet)
    second = profile_of(stage="test_video", start=str(tmp_path / "first"))
    unet = new_unet(second)
    theirs, ours = task.unet.state_dict(), unet.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in theirs.items())
    trained = {name for name, p in unet.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in unet.named_parameters() if "motion_modules." in name}
    assert trained


def facts_of(task):
    class Done:
        step, finished, metrics = 4, "max_steps", {"noise": 0.5}

    return bundle_facts(task, Done())


def test_the_models_facts_name_every_part_and_its_stand_ins(tmp_path):
    task = task_of(profile_of(lpips_weight=0.1))
    save_bundle(tmp_path, task.unet, facts_of(task))
    facts = load_bundle(tmp_path).facts
    assert facts["stand_ins"] == [
        "stand-in:blocks",
        "stand-in:lpips-vgg",
        "stand-in:whisper-tiny",
    ]
    assert facts["profile"]["stage"] == "test"
    assert (facts["resolution_px"], facts["frames"], facts["steps"]) == (64, 4, 4)


def test_every_fact_that_decides_the_weights_gives_a_folder_of_its_own(tmp_path, syncnet):
    shards = shards_in(tmp_path / "data", [[48], [50]])
    profile = profile_of(frames=16, syncnet=syncnet, sync_weight=0.05)
    folder = run_folder(profile, shards)
    assert folder == run_folder(profile, shards)
    assert folder != run_folder(profile.model_copy(update={"noise_alpha": 0.5}), shards)
    assert folder != run_folder(profile, replace(shards, train=shards.train[:1]))
    assert folder != run_folder(profile, replace(shards, sidecar=True))
    save_safetensors(Path(syncnet), StableSyncNet(CONFIGS["tiny"]))
    assert folder != run_folder(profile, shards)


def test_other_sizes_behind_the_same_stage_are_another_run(tmp_path, monkeypatch):
    shards, profile = shards_in(tmp_path / "data"), profile_of()
    folder, stage = run_folder(profile, shards), STAGES["test"]
    wider = replace(stage.unet, widths=(32, 32, 32, 64))
    for other in (
        replace(stage, unet=wider),
        replace(stage, trained=("attn2.",)),
        replace(stage, resolution_px=128),
    ):
        monkeypatch.setitem(STAGES, "test", other)
        assert run_folder(profile, shards) != folder
    monkeypatch.setitem(STAGES, "test", replace(stage, published_memory_gb=99))
    assert run_folder(profile, shards) == folder


def test_the_place_of_the_weights_it_starts_from_is_no_fact(tmp_path):
    shards, task = shards_in(tmp_path / "data"), task_of(profile_of())
    for place in ("here", "there"):
        save_safetensors_unet(tmp_path / place / "unet.safetensors", task.unet)
    here, there = (
        profile_of(start=str(tmp_path / place / "unet.safetensors")) for place in ("here", "there")
    )
    assert run_folder(here, shards) == run_folder(there, shards) != run_folder(profile_of(), shards)
    facts = facts_of(LatentDiffusion(here, new_unet(here), load_frozen_networks(here)))
    assert str(tmp_path) not in json.dumps(facts)
    assert facts["start_sha256"] == weights_file_sha256(tmp_path / "here" / "unet.safetensors")


def test_samples_show_the_real_clip_beside_the_dubbed_one_and_ranks_share_them():
    profile = profile_of(sample_steps=1)
    batches = [{**batch_of(profile, 1, seed), "clip_id": [f"c{seed}"]} for seed in (0, 1)]
    task = task_of(profile, batches)
    mine, other = task.samples(0, 2), task.samples(1, 2)
    assert (list(mine), list(other)) == (["c0-0"], ["c1-1"])
    video = mine["c0-0"]
    assert (video.shape, video.dtype) == ((4, 3, 64, 128), torch.uint8)
    assert torch.equal(video[..., :64], batches[0]["frames"][0])
    assert torch.equal(video[:, :, :20, 64:], video[:, :, :20, :64])  # the brow is kept


# --- what a user gets wrong


def test_a_stage_for_larger_pictures_than_the_shards_stops_before_any_step(tmp_path, monkeypatch):
    monkeypatch.setitem(STAGES, "large", replace(STAGES["test"], resolution_px=128))
    profile = profile_of(stage="large")
    with pytest.raises(TrainingDataError, match=r"crop_px was 64.*wants 128.*train_ldm.stage: lar"):
        train(profile, shards_in(tmp_path), World(), RunOptions(), tmp_path / "run", heard)
    assert not (tmp_path / "run").exists()


def test_a_missing_syncnet_names_the_key_and_the_command():
    profile = profile_of(frames=16, sync_weight=0.05, syncnet="nowhere/net.safetensors")
    with pytest.raises(WeightsError, match=r"nowhere/net.safetensors.*syncnet.*train_syncnet"):
        load_frozen_networks(profile)


def test_a_judge_that_learnt_with_other_sounds_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_safetensors(path, StableSyncNet(CONFIGS["tiny"]), {"profile": {"mel": "compat"}})
    profile = profile_of(frames=16, sync_weight=0.05, syncnet=str(path))
    with pytest.raises(ParamsError, match=r"train_ldm.mel: 'exact'.*net.safetensors.*'compat'"):
        load_frozen_networks(profile)
    load_frozen_networks(profile.model_copy(update={"mel": "compat"}))


def test_an_encoder_of_another_width_than_the_unets_names_the_key():
    profile = profile_of(whisper="stand-in:whisper-small")
    batch = batch_of(profile, 1)
    wide = {**batch, "tokens": torch.zeros(1, 4, 50, 768)}
    with pytest.raises(ParamsError, match=r"train_ldm.whisper: stand-in:whisper-small gives 768"):
        task_of(profile).validate(wide)


def test_a_loss_that_needs_16_frames_says_so(syncnet):
    with pytest.raises(ParamsError, match="sync_weight needs windows of 16 frames, not 8"):
        load_frozen_networks(profile_of(frames=8, sync_weight=0.05, syncnet=syncnet))
    with pytest.raises(ParamsError, match="trepa_weight needs windows of 16 frames"):
        load_frozen_networks(profile_of(frames=8, trepa_weight=10.0))


def test_an_unknown_stage_or_start_stops_before_any_work():
    with pytest.raises(ParamsError, match="stage: 'stage9'; known: tiny"):
        new_unet(profile_of(stage="stage9"))
    with pytest.raises(WeightsError, match=r"none.safetensors: no such file .*start"):
        new_unet(profile_of(start="sd-v1-5:none.safetensors"))
