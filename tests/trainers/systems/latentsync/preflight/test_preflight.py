"""What is looked at before the diffusion model is trained."""

import json
import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.params.fit import FitParams
from pipeline.params.training import FeaturesParams, LdmProfile
from tests.trainers.systems.stable_syncnet.preflight.test_preflight import facts_json, write_clips
from trainers import train_ldm
from trainers.data.index import index_shards
from trainers.loop.checkpoints import latest_state
from trainers.loop.fit import RunOptions
from trainers.preflight.answer import PreflightError
from trainers.preflight.overfit import OverfitResult
from trainers.preflight.sample_metadata import parse_metadata
from trainers.preflight.split_statistics import Overlap, summarize_split
from trainers.processes.world import World
from trainers.systems.latentsync.configs import STAGES, UNetConfig
from trainers.systems.latentsync.preflight.checks import CHECKS, LdmFindings, run_checks
from trainers.systems.latentsync.preflight.needed_space import (
    checkpoint_bytes,
    missing_bytes,
    network_size,
    run_bytes,
)
from trainers.systems.latentsync.preflight.preflight import PlannedLdmRun, examine, preflight
from trainers.systems.latentsync.task import LatentDiffusion
from trainers.systems.latentsync.training import LdmShards, train

CPU = torch.device("cpu")
ALONE = {"sync_weight": 0.0, "lpips_weight": 0.0, "trepa_weight": 0.0}
FRAMES = 40
"""Of the clips of `write_clips`."""


def heard(clip):
    """Stands for the audio encoder's features."""
    rng = np.random.default_rng(clip.num_frames)
    return torch.from_numpy(rng.standard_normal((2 * clip.num_frames, 5, 384), np.float32))


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> LdmShards:
    folder = tmp_path_factory.mktemp("shards")
    return LdmShards(
        train=write_clips(folder / "train", "ann"), validation=write_clips(folder / "val", "bob", 2)
    )


@pytest.fixture(autouse=True)
def small_stage(monkeypatch):
    unet = UNetConfig(widths=(32, 32, 32, 32), motion="none")
    stage = replace(STAGES["tiny"], unet=unet, resolution_px=64)
    monkeypatch.setitem(STAGES, "test", stage)


def profile_of(**changes) -> LdmProfile:
    fit = FitParams(max_steps=1, learning_rate=1e-3)
    base = {"stage": "test", "frames": 4, "validation_batches": 2, "sample_clips": 0, "fit": fit}
    parts = {"vae": "stand-in:blocks", "whisper": "stand-in:whisper-tiny"}
    return LdmProfile(**{**base, **parts, **ALONE, **changes})


def plan_of(shards, folder, **changes) -> PlannedLdmRun:
    steps = changes.pop("overfit_steps", 0)
    return PlannedLdmRun(
        profile=profile_of(**changes),
        shards=shards,
        folder=folder,
        prepare=heard,
        overfit_steps=steps,
        name="mine",
    )


def test_good_shards_pass_and_the_answer_is_printed(shards, tmp_path, capsys):
    found = preflight(plan_of(shards, tmp_path), World())
    found.require()
    verdicts = {one.name: one.verdict for one in found.checks}
    assert {name for name, one in verdicts.items() if one != "ok"} == {"validation", "stand-ins"}
    content = json.loads(json.dumps(found.content()))
    assert (content["verdict"], content["name"]) == ("warning", "mine")
    findings = content["findings"]
    assert findings["train_windows"] == 3 * (FRAMES - 4 + 1)
    assert findings["validation_windows"] == 2 * (FRAMES - 4 + 1)
    assert (findings["min_frames"], findings["measured_windows"]) == (11, 4)
    assert findings["stand_ins"] == ["stand-in:blocks", "stand-in:whisper-tiny"]
    assert "Diffusion model pre-flight: warning" in capsys.readouterr().err


def test_clips_without_room_for_a_reference_are_counted_as_too_short(shards, tmp_path):
    found = examine(plan_of(shards, tmp_path, frames=16), CPU)
    with pytest.raises(PreflightError, match=r"clips: 0 clips to train on.*47 frames or more"):
        found.require()
    assert found.findings.train.too_short == 3


def test_crops_that_would_be_enlarged_stop_the_run_with_their_shard(shards, tmp_path, monkeypatch):
    monkeypatch.setitem(STAGES, "test", replace(STAGES["test"], resolution_px=128))
    found = examine(plan_of(shards, tmp_path), CPU)
    with pytest.raises(PreflightError, match=r"picture: .*ann-0000-000.tar: 3 of 3 .*crop_px: 128"):
        found.require()


def test_every_absent_file_is_named_at_once(shards, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path / "none"))
    changes = {"sync_weight": 0.1, "syncnet": "no/net.safetensors", "start": "no/unet.safetensors"}
    found = examine(plan_of(shards, tmp_path, vae="sd-vae-ft-mse", **changes), CPU)
    (files,) = [one for one in found.checks if one.name == "files"]
    assert files.verdict == "stop"
    for name in ("sd_vae_ft_mse.safetensors", "no/net.safetensors", "no/unet.safetensors"):
        assert name in files.finding
    assert "lpips" not in files.finding  # weight 0


def test_space_is_that_of_the_files_that_a_run_writes(shards, tmp_path):
    fit = FitParams(max_steps=2, save_every=1, ema_decay=0.9)
    profile = profile_of(fit=fit)
    train(profile, shards, World(), RunOptions(), tmp_path / "run", heard)
    (one, *_) = sorted((tmp_path / "run").glob("step-*.pt"))
    expected = checkpoint_bytes(network_size(profile), profile)
    assert latest_state(tmp_path / "run") is not None
    assert expected <= one.stat().st_size < 1.1 * expected
    assert run_bytes(network_size(profile), profile) > 3 * expected


def test_a_disk_that_is_too_small_stops_the_run(shards, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 0, 1_000_000))
    with pytest.raises(PreflightError, match=r"disk: .*GB more than the disk has.*LIPFORGE_TRAIN"):
        examine(plan_of(shards, tmp_path / "new" / "run"), CPU).require()
    (tmp_path / "there").write_bytes(bytes(500_000))  # of an earlier start
    assert missing_bytes(tmp_path, 1_500_000) == 0
    assert missing_bytes(tmp_path, 1_500_001) == 1


def test_one_batch_is_tried_on_request_and_taken_from_an_earlier_start(
    shards, tmp_path, monkeypatch
):
    plan = plan_of(shards, tmp_path, overfit_steps=3)
    state = torch.get_rng_state()
    found = examine(plan, CPU)
    assert torch.equal(torch.get_rng_state(), state)
    tried = found.findings.overfit
    assert (tried.windows, tried.steps, tried.error) == (2, 3, "")
    assert tried.losses[-1] < tried.losses[0]
    monkeypatch.setattr(
        "trainers.systems.latentsync.preflight.preflight.overfit_windows",
        lambda *_: pytest.fail("tried again"),
    )
    assert examine(plan, CPU).findings == found.findings
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        examine(replace(plan, overfit_steps=4), CPU)


def test_one_batch_is_tried_in_the_micro_batches_of_the_run(shards, tmp_path, monkeypatch):
    sizes, losses = [], LatentDiffusion.losses

    def counted(task, batch, player):
        sizes.append(len(batch["keys"]))
        return losses(task, batch, player)

    monkeypatch.setattr(LatentDiffusion, "losses", counted)
    whole = examine(plan_of(shards, tmp_path / "whole", overfit_steps=1), CPU).findings.overfit
    fit = profile_of().fit.model_copy(update={"micro_batch": 1})
    sizes.clear()
    parts = examine(plan_of(shards, tmp_path / "parts", overfit_steps=1, fit=fit), CPU)
    assert set(sizes) == {1}
    assert parts.findings.overfit.losses == pytest.approx(whole.losses, abs=0.002)


def test_the_stage_leaves_what_was_found_and_stops_before_training(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(train_ldm, "train", lambda *_: pytest.fail("trained"))
    config = {
        "name": "mine",
        "preflight_steps": 0,
        "profile": profile_of().model_dump(),
        "features": FeaturesParams().model_dump(),
        "shards": {"train": shards.train, "validation": shards.train, "sidecar": False},
        "folder": str(tmp_path),
    }
    with pytest.raises(PreflightError, match=r"(?s)Diffusion model would not.*share speakers"):
        train_ldm.run(config, World(), None)
    content = json.loads((tmp_path / train_ldm.PREFLIGHT).read_text())
    assert (content["verdict"], content["name"]) == ("stop", "mine")


def good() -> LdmFindings:
    """A run with nothing to say against it."""
    clip = parse_metadata("a", 300, facts_json(1, "ann"))
    clips = [
        replace(clip, clip_id=str(k), source=str(k), crop_px=256, face_px=300) for k in range(20)
    ]
    split = summarize_split(index_shards([], 32), clips)
    return LdmFindings(
        stage="stage2",
        resolution_px=256,
        window_frames=16,
        min_frames=47,
        batch=2,
        in_flight_clips=16,
        windows_per_clip=16,
        decoded_bytes=10**9,
        train_windows=5700,
        validation_windows=5700,
        measured_windows=8,
        train=split,
        validation=split,
        overlap=Overlap([], [], []),
        enlarged="",
        parts={"vae": "sd-vae-ft-mse"},
        stand_ins=[],
        absent=[],
        run_bytes=10**9,
        missing_bytes=0,
        overfit_steps=50,
        overfit=OverfitResult(2, 1e-5, [1.0, 0.4]),
    )


def with_(**changes):
    return lambda f: replace(f, **changes)


def train_with(**changes):
    return lambda f: replace(f, train=replace(f.train, **changes))


CASES = {
    "no-clips": ("clips", "stop", train_with(clips=0)),
    "few-windows": ("windows", "warning", with_(validation_windows=7)),
    "short": ("length", "warning", train_with(too_short=5)),
    "leak": ("speakers", "stop", with_(overlap=Overlap([], ["v"], []))),
    "few-held-out": (
        "validation",
        "warning",
        lambda f: replace(f, validation=replace(f.validation, sources=2)),
    ),
    "many-off": ("offsets", "stop", train_with(beyond_one_frame=5)),
    "unsure": ("judge", "warning", train_with(probability_median=0.5)),
    "fewer-clips-than-a-batch": ("in flight", "warning", with_(batch=24, in_flight_clips=48)),
    "same-clips-in-a-row": ("in flight", "warning", with_(in_flight_clips=2)),
    "enlarged": ("picture", "stop", with_(enlarged="s.tar: 256, wants 512; set crop_px: 512")),
    "small-faces": ("picture", "warning", train_with(face_px_median=100.0)),
    "absent": ("files", "stop", with_(absent=["vgg.pth: absent"])),
    "stand-in": ("stand-ins", "warning", with_(stand_ins=["stand-in:blocks"])),
    "disk": ("disk", "stop", with_(missing_bytes=10**9)),
    "sizes-unknown": ("disk", "stop", with_(run_bytes=None)),
    "slow": ("one batch", "warning", with_(overfit=OverfitResult(2, 1e-5, [1.0, 0.8]))),
    "stuck": ("one batch", "stop", with_(overfit=OverfitResult(2, 1e-5, [1.0, 0.99]))),
    "broke-off": ("one batch", "stop", with_(overfit=OverfitResult(2, 1.0, [1.0], "step 1: nan"))),
    "no-batch": ("one batch", "stop", with_(overfit=None)),
}


def test_nothing_is_said_against_a_good_run():
    assert {one.verdict for one in run_checks(good())} == {"ok"}
    assert not any(one.fix for one in run_checks(good()))
    assert {one.verdict for one in run_checks(replace(good(), overfit_steps=0))} == {"ok"}


@pytest.mark.parametrize("case", CASES)
def test_every_known_cause_is_told_with_its_fix(case):
    name, verdict, change = CASES[case]
    (told,) = [one for one in run_checks(change(good())) if one.verdict != "ok"][:1]
    assert (told.name, told.verdict) == (name, verdict)
    assert told.finding
    assert told.fix


def test_every_check_has_a_case():
    named = {name for name, _, _ in CASES.values()}
    assert named == {check(good()).name for check in CHECKS}
