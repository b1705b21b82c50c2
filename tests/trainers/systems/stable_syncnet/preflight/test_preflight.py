"""The pre-flight before StableSyncNet: what it reads, counts and says, and when it stops a run."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.params.fit import FitParams
from pipeline.params.training import SyncnetProfile
from pipeline.shards.tar import PackedSample, write_shard
from trainers.data.index import index_shards
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.errors import ShardReadError
from trainers.preflight.answer import PreflightError
from trainers.preflight.overfit import OverfitResult
from trainers.preflight.sample_metadata import parse_metadata, read_sample_metadata
from trainers.preflight.split_statistics import (
    Overlap,
    _wrongly_applied,
    find_overlap,
    summarize_split,
)
from trainers.processes.world import World
from trainers.systems.stable_syncnet.preflight import overfit as preflight_overfit
from trainers.systems.stable_syncnet.preflight import window_counts
from trainers.systems.stable_syncnet.preflight.checks import CHECKS, PreflightFindings, run_checks
from trainers.systems.stable_syncnet.preflight.preflight import PlannedRun, examine, preflight
from trainers.systems.stable_syncnet.preflight.window_counts import (
    WindowCounts,
    count_windows,
    overlapping_negatives,
)
from trainers.systems.stable_syncnet.training import new_task, training_source

CPU = torch.device("cpu")
FRAMES = 40


def facts_json(clip: int, speaker: str) -> dict[str, object]:
    """The parts of docs/shards.md's JSON that the pre-flight reads."""
    return {
        "num_frames": FRAMES,
        "group": f"speaker:{speaker}",
        "offset_applied_frames": clip - 1,
        "sync": {"judge": "landmark", "offset_frames": clip - 1, "probability": 0.9},
        "rescored": {"offset_frames": 0, "offset_subframe": 0.25},
        "clip": {"crop_px": 64, "face_px": 70.5},
        "video": {"video_id": f"{speaker}-{clip}", "speaker": speaker, "language": "en"},
    }


def write_clips(folder: Path, speaker: str, clips: int = 3, loud: float = 3000) -> list[str]:
    """Write one tar of clips whose picture brightens with the loudness of their sound."""
    samples, rng = [], np.random.default_rng(clips)
    (folder / "loose").mkdir(parents=True, exist_ok=True)
    for number in range(clips):
        name = f"{speaker}{number}"
        files = {suffix: folder / "loose" / f"{name}.{suffix}" for suffix in ("mp4", "flac", "npz")}
        files["json"] = folder / "loose" / f"{name}.json"
        level = rng.random(FRAMES).astype(np.float32)
        pictures = (np.full((64, 64, 3), int(30 + 200 * one), np.uint8) for one in level)
        write_clip(files["mp4"], pictures, crf=14)
        sound = rng.normal(0, loud, FRAMES * 640) * np.repeat(level, 640)
        write_flac(files["flac"], sound.astype(np.int16), 16_000)
        files["json"].write_text(json.dumps(facts_json(number, speaker)))
        files["npz"].write_bytes(b"never read")
        samples.append(PackedSample(name, "train", 0, FRAMES, files))
    write_shard(folder / f"{speaker}-0000-000.tar", samples)
    return shard_urls(folder)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> SplitUrls:
    folder = tmp_path_factory.mktemp("shards")
    return SplitUrls(
        train=write_clips(folder / "train", "ann"), validation=write_clips(folder / "val", "bob", 2)
    )


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(window_counts, "WINDOWS", 64)


def profile(**changes) -> SyncnetProfile:
    fit = FitParams(learning_rate=3e-4, max_steps=2)
    return SyncnetProfile(**{"network": "tiny", "batch": 4, "fit": fit} | changes)


def plan_of(shards: SplitUrls, **changes) -> PlannedRun:
    one = profile(**changes)
    train, validation = (index_shards(urls, 32) for urls in (shards.train, shards.validation))
    return PlannedRun(
        train=train,
        validation=validation,
        source=training_source(one, train),
        new_task=lambda: new_task(one),
        profile=one,
        name="mine",
    )


def test_facts_of_every_clip_come_from_its_json(shards):
    facts = read_sample_metadata(index_shards(shards.train, 32))
    assert [one.clip_id for one in facts] == ["ann0", "ann1", "ann2"]
    assert [one.offset_frames for one in facts] == [-1, 0, 1] == [f.applied_frames for f in facts]
    assert facts[2] == parse_metadata("ann2", FRAMES, facts_json(2, "ann"))
    assert (facts[0].source, facts[0].speaker, facts[0].residual_subframe) == ("ann-0", "ann", 0.25)


def test_a_clip_that_tells_nothing_is_counted_as_unknown(shards):
    index = index_shards(shards.train, 32)
    silent = [
        parse_metadata("x", 40, {"sync": "broken", "rescored": {"offset_frames": float("nan")}})
    ]
    split = summarize_split(index, silent)
    assert (split.unscored, split.unnamed, split.judges) == (1, 1, {"unknown": 1})
    assert split.probability_median is None


def test_splits_are_summed_up_with_their_offsets(shards):
    index = index_shards(shards.train, 32)
    split = summarize_split(index, read_sample_metadata(index))
    assert split.offsets_before == {"-1": 1, "0": 1, "1": 1}
    assert split.offsets_after == {"0": 3}
    assert split.residual_quarters == {"1": 3}
    assert split.hours == pytest.approx(3 * FRAMES / 25 / 3600, abs=1e-4)
    assert (split.sources, split.speakers, split.unnamed, split.wrongly_applied) == (3, 1, 0, 0)


def test_negatives_of_compat_that_share_frames_are_counted_as_they_are_drawn(shards):
    index = index_shards(shards.train, 32)
    share = overlapping_negatives(index.num_frames.tolist(), 16)
    starts = np.arange(FRAMES - 15)
    apart = np.abs(starts[:, None] - starts)
    assert share == pytest.approx(
        (((apart > 0) & (apart < 16)).sum() / (apart > 0).sum()), abs=1e-3
    )


def test_what_training_and_validation_share_is_named(shards):
    train, validation = (
        read_sample_metadata(index_shards(urls, 32)) for urls in (shards.train, shards.validation)
    )
    assert not find_overlap(train, validation).any
    moved = [replace(validation[0], speaker="ann")]
    assert find_overlap(train, moved) == Overlap([], [], ["ann"])


@pytest.mark.parametrize("item", ["pair", "windows"])
def test_pairs_are_counted_as_the_loader_draws_them(shards, item):
    plan = plan_of(shards, item=item, batch=4, windows=8, contrast_weight=0.0)
    windows = 8 if item == "windows" else 1
    counted, kept = count_windows(plan.source, 4, windows, 8)
    batches = [plan.source.batch_at(step, 0, 1) for step in range(64 // (4 * windows))]
    labels = torch.cat([batch["in_sync"].flatten() for batch in batches])
    assert counted.windows == 64
    assert counted.in_sync == int((labels == 1).sum())
    assert counted.out_of_sync == int((labels == 0).sum())
    assert kept is not None
    assert kept["mel"].shape[:-3].numel() == 8
    assert set(kept["in_sync"].flatten().tolist()) >= {0, 1}


def test_silent_windows_are_counted(tmp_path):
    urls = write_clips(tmp_path, "hush", clips=1, loud=10)
    counted, _ = count_windows(plan_of(SplitUrls(train=urls, validation=urls)).source, 4, 8, 8)
    assert counted.silent == counted.windows


def test_good_shards_pass_and_the_answer_is_printed(shards, capsys):
    found = preflight(plan_of(shards), World())
    found.require()
    verdicts = {one.name: one.verdict for one in found.checks}
    assert {name for name, one in verdicts.items() if one != "ok"} == {"amount", "validation"}
    content = json.loads(json.dumps(found.content()))
    assert (content["verdict"], content["name"]) == ("warning", "mine")
    assert content["findings"]["overfit"]["losses"][-1] < 0.3
    printed = capsys.readouterr().err
    assert "pre-flight: warning" in printed
    assert "one batch" in printed


def test_a_shard_that_is_gone_is_an_answer_for_all_ranks(tmp_path):
    urls = write_clips(tmp_path, "gone", clips=1)
    plan = plan_of(SplitUrls(train=urls, validation=urls))
    next(tmp_path.glob("*.tar")).unlink()
    with pytest.raises(ShardReadError, match=r"gone-0000-000\.tar: cannot be read"):
        preflight(plan, World())


def test_a_second_start_takes_the_slow_parts_from_the_first(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight_overfit, "STEPS", 1)
    plan, kept = plan_of(shards), tmp_path / "kept.json"
    first = examine(plan, CPU, kept)
    broken = replace(plan, new_task=lambda: pytest.fail("made a network again"))
    assert examine(broken, CPU, kept) == first
    other = replace(broken, profile=profile(batch=2))
    with pytest.raises(pytest.fail.Exception, match="network again"):
        examine(other, CPU, kept)


def test_random_streams_and_first_weights_are_those_of_a_run_without_it(shards, monkeypatch):
    monkeypatch.setattr(preflight_overfit, "STEPS", 1)

    def draws() -> list[object]:
        weights = next(new_task(profile()).parameters()).sum().item()
        return [weights, random.random(), np.random.random(), torch.rand(1).item()]

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    without = draws()
    random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
    examine(plan_of(shards), CPU)
    assert torch.equal(torch.get_rng_state(), states[2])
    assert random.getstate() == states[0]
    assert draws() == without


def test_a_speaker_on_both_sides_stops_the_run(shards, monkeypatch):
    monkeypatch.setattr(preflight_overfit, "STEPS", 1)
    found = examine(plan_of(SplitUrls(train=shards.train, validation=shards.train)), CPU)
    assert found.content()["verdict"] == "stop"
    with pytest.raises(PreflightError, match=r"share speakers.*: ann, .*Fix: split by speaker"):
        found.require()


def test_a_learning_rate_that_moves_nothing_stops_the_run(shards, monkeypatch):
    monkeypatch.setattr(preflight_overfit, "STEPS", 3)
    found = examine(plan_of(shards, fit=FitParams(learning_rate=1e-12, max_steps=9)), CPU)
    assert found.findings.overfit is not None
    assert found.findings.overfit.steps == 3
    with pytest.raises(PreflightError, match="does not learn even these by heart"):
        found.require()


def test_a_loss_that_is_no_number_stops_the_run(shards):
    found = examine(plan_of(shards, fit=FitParams(learning_rate=1e4, max_steps=9)), CPU)
    with pytest.raises(PreflightError, match=r"broke off: step \d"):
        found.require()


def good() -> PreflightFindings:
    """A run with nothing to say against it."""
    index = index_shards([], 32)
    clip = parse_metadata("a", 300, facts_json(1, "ann"))
    clips = [
        replace(clip, clip_id=str(k), source=str(k), crop_px=256, face_px=300) for k in range(20)
    ]
    split = replace(summarize_split(index, clips), hours=25.0)
    return PreflightFindings(
        network="syncnet_16_pixel_attn",
        published=True,
        window_frames=16,
        min_frames=32,
        resolution_px=256,
        item="pair",
        batch=256,
        windows=256,
        learning_rate=1e-5,
        negatives="non_overlapping",
        train=split,
        validation=split,
        overlap=Overlap([], [], []),
        overlapping_negatives=0.1,
        drawn=WindowCounts(256, 3, 130, 126),
        overfit=OverfitResult(8, 1e-5, [0.7, 0.2]),
    )


def split(**changes):
    return lambda f: replace(f, train=replace(f.train, **changes))


CASES = {
    "no-clips": ("clips", "stop", split(clips=0)),
    "bad-samples": ("clips", "warning", split(bad=2)),
    "16-hours": ("amount", "warning", split(hours=16.0)),
    "9-videos": ("amount", "warning", split(sources=9)),
    "leak": ("speakers", "stop", lambda f: replace(f, overlap=Overlap([], ["v"], []))),
    "unnamed": ("speakers", "warning", split(unnamed=3)),
    "persons": (
        "speakers",
        "warning",
        lambda f: replace(f, overlap=Overlap([], [], [], ["first clip of a person"])),
    ),
    "few-held-out": (
        "validation",
        "warning",
        lambda f: replace(f, validation=replace(f.validation, sources=2)),
    ),
    "other-offset-taken-out": ("offsets", "stop", split(wrongly_applied=1)),
    "never-scored": ("offsets", "warning", split(unscored=20)),
    "some-off": ("offsets", "warning", split(beyond_one_frame=1)),
    "many-off": ("offsets", "stop", split(beyond_one_frame=5)),
    "all-shifted": ("offsets", "warning", split(residual_median_frames=-0.75)),
    "judges-disagree": ("offsets", "warning", split(doubtful=1)),
    "two-judges": ("judge", "warning", split(judges={"landmark": 1, "syncnet": 2})),
    "unsure": ("judge", "warning", split(probability_median=0.5)),
    "low-lse-c": (
        "judge",
        "warning",
        split(judges={"syncnet": 20}, probability_median=None, confidence_median=2.0),
    ),
    "short": ("length", "warning", split(too_short=5)),
    "nothing-drawn": ("balance", "stop", lambda f: replace(f, drawn=None)),
    "lopsided": ("balance", "warning", lambda f: replace(f, drawn=WindowCounts(256, 0, 180, 76))),
    "one-label": ("balance", "stop", lambda f: replace(f, drawn=WindowCounts(256, 0, 256, 0))),
    "compat": ("negatives", "warning", lambda f: replace(f, negatives="compat")),
    "quiet": ("silence", "warning", lambda f: replace(f, drawn=WindowCounts(256, 64, 128, 128))),
    "mute": ("silence", "stop", lambda f: replace(f, drawn=WindowCounts(256, 250, 128, 128))),
    "small-crops": ("picture", "warning", split(crop_px_min=128)),
    "small-faces": ("picture", "warning", split(face_px_median=100.0)),
    "batch-128": ("recipe", "warning", lambda f: replace(f, windows=128)),
    "fast": ("recipe", "warning", lambda f: replace(f, learning_rate=1e-4)),
    "25-frames": ("recipe", "warning", lambda f: replace(f, window_frames=25)),
    "slow": (
        "one batch",
        "warning",
        lambda f: replace(f, overfit=OverfitResult(8, 1e-5, [0.7, 0.4])),
    ),
    "stuck": (
        "one batch",
        "stop",
        lambda f: replace(f, overfit=OverfitResult(8, 1e-5, [0.7, 0.69])),
    ),
    "no-batch": ("one batch", "stop", lambda f: replace(f, overfit=None)),
}


def test_nothing_is_said_against_a_good_run():
    assert {one.verdict for one in run_checks(good())} == {"ok"}
    assert not any(one.fix for one in run_checks(good()))


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


@pytest.mark.parametrize(
    ("found", "applied", "left", "wrong"),
    [(3, 3.2, 0, False), (3, -4.0, 0, False), (3, -4.0, -7, True), (3, 3.0, 5, False)],
)
def test_an_offset_is_wrongly_applied_when_it_is_another_one_and_the_clip_is_off_since(
    found: int, applied: float, left: int, wrong: bool
) -> None:
    content = {
        "offset_applied_frames": applied,
        "sync": {"judge": "landmark", "offset_frames": found},
        "rescored": {"offset_frames": left, "offset_subframe": float(left)},
    }
    assert _wrongly_applied(parse_metadata("c", 100, content)) is wrong
