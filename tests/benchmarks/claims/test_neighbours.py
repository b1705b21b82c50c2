"""What is measured of the neighbours, and which networks their runs are trained with."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.claims.__main__ import CLAIMS
from benchmarks.claims.avsyncnet_run import cosine_numbers, task_of, with_shares
from benchmarks.claims.dub_scores import drift_numbers, picture_numbers, reference_numbers
from benchmarks.claims.listening import _extra, _seams
from benchmarks.claims.neighbour_claims import SILENT_LIPS, VARIANCE
from benchmarks.claims.runs import Plan, Shards
from benchmarks.claims.talker_run import with_copies
from benchmarks.claims.verdicts import verdict_of
from pipeline.params.neighbours import AvSyncNetProfile
from tests.trainers.data.made_shards import write_shards
from tests.trainers.evaluation.talking_films import film
from tests.trainers.systems.stabilized.made import clip_of
from trainers.evaluation.clip_versions import ClipVersions
from trainers.evaluation.evaluation_clips import EvaluationClip

FRAMES = 40


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for split in ("train", "val", "test"):
        write_shards(folder / split, [[20]])
    return folder


def plan(films, *claims, seeds=1):
    return Plan(claims=claims, seeds=seeds, quick=True, shards=Shards(films, films / "sets"))


def test_every_generator_is_trained_with_the_avsyncnet_and_the_g_s_of_seed_0(films):
    runs = plan(films, SILENT_LIPS, seeds=2).all_runs()
    sync, silent, *generators = runs
    assert [one.facts["system"] for one in runs] == ["avsyncnet", "silent_lip", *["stabilized"] * 4]
    assert {one.facts["profile"]["fit"]["seed"] for one in (sync, silent)} == {0}
    assert [one.digest for one in silent.needs] == [sync.digest]
    for one in generators:
        assert [need.digest for need in one.needs] == [sync.digest, silent.digest]
        weights = one.order()["weights"]
        assert weights["avsyncnet"] == str(sync.folder / "avsyncnet.safetensors")
        assert weights["silent_lip"] == str(silent.folder / "silent_lip/generator.safetensors")
    shared = plan(films, VARIANCE).all_runs()[0]
    assert shared.digest == sync.digest, "claim g trains it"


def test_the_neighbours_are_measured_on_val_and_test_and_named_by_them(films, tmp_path):
    (one, *_) = plan(films, VARIANCE).all_runs()
    assert one.order()["held_out"] == [str(films / "val"), str(films / "test")]
    for split in ("train", "val"):
        (tmp_path / split).symlink_to(films / split)
    (alone, *_) = plan(tmp_path, VARIANCE).all_runs()
    assert alone.order()["held_out"] == [str(tmp_path / "val")]
    assert alone.digest != one.digest
    (old, *_) = plan(films, next(one for one in CLAIMS if one.key == "b.width")).all_runs()
    assert old.order()["held_out"] == [str(films / "val")]


def versions_of(own, foreign=None):
    one, other = film(FRAMES, 1), film(FRAMES, 2)
    frames = {"real": one.frames, "own": own(one.frames)}
    if foreign is not None:
        frames["foreign"] = foreign(one.frames)
    seams = np.zeros(FRAMES, np.bool_)
    return ClipVersions(EvaluationClip(one, other), frames, {}, None, seams)


def test_a_perfect_dub_neither_drifts_nor_greys_nor_stands_still():
    perfect = versions_of(lambda frames: frames)
    found = drift_numbers(perfect, None)
    assert found["drift_db"] == 0
    assert found["contrast"] == pytest.approx(1)
    assert found["from_first"] == pytest.approx(1)
    assert picture_numbers(perfect, None)["lower_psnr_db"] == pytest.approx(58.9, abs=0.05)


def test_a_dub_that_stands_still_is_at_the_first_picture():
    found = drift_numbers(versions_of(lambda frames: np.repeat(frames[:1], FRAMES, axis=0)), None)
    assert found["from_first"] == pytest.approx(0)
    assert found["contrast"] == pytest.approx(1, abs=0.3)


def test_a_dub_that_greys_out_loses_contrast_and_decibels_towards_its_end():
    def greyed(frames):
        share_T = np.linspace(0, 1, FRAMES)[:, None, None, None]
        return np.rint(frames * (1 - share_T) + 128 * share_T).astype(np.uint8)

    found = drift_numbers(versions_of(greyed), None)
    assert found["contrast"] < 0.3
    assert found["drift_db"] > 5
    assert found["first_quarter_db"] - found["last_quarter_db"] == pytest.approx(found["drift_db"])


def brightness_reader():
    def opening(frames_TCHW):
        return frames_TCHW.reshape(len(frames_TCHW), -1).mean(axis=1)

    return SimpleNamespace(mouth=SimpleNamespace(opening=opening))


@pytest.mark.parametrize(("half", "expected"), [(FRAMES // 2, 1.0), (0, None)])
def test_a_mouth_that_follows_the_reference_is_found(half, expected):
    truth = film(FRAMES, 1).opening

    def made(frames):
        levels_T = np.rint(100 + 100 * np.roll(truth, -half) / truth.max())
        return np.broadcast_to(levels_T[:, None, None, None], frames.shape).astype(np.uint8)

    found = reference_numbers(versions_of(lambda one: one, made), brightness_reader())
    if expected:
        assert found["reference_r"] == pytest.approx(expected, abs=0.01)
    else:
        assert found["reference_r"] < 0.9, "its own mouth is not that of the reference"


def test_a_run_copies_if_it_follows_the_reference_more_than_the_sound():
    assert with_copies({"reference_r": 0.5, "foreign_r": 0.4})["copies"] == 1
    assert with_copies({"reference_r": 0.4, "foreign_r": 0.5})["copies"] == 0
    assert "copies" not in with_copies({"foreign_r": 0.5})


class _Stub(torch.nn.Module):
    """Embeds every sound as (1, 0), and a picture by `angle` of its levels."""

    def __init__(self, angle):
        super().__init__()
        self.angle = angle

    def embed_audio(self, mel):
        return torch.tensor([[1.0, 0.0]]).expand(len(mel), 2)

    def embed_visual(self, pictures):
        angle = self.angle(pictures)
        return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_a_network_that_looks_at_nothing_has_neither_spread_nor_change():
    found = cosine_numbers(_Stub(lambda one: torch.full((len(one),), 0.5)), clip_of(30), 4)
    assert found["spread_in_sync"] == pytest.approx(0, abs=1e-6)
    assert found["shift_change"] == pytest.approx(0, abs=1e-6)
    assert found["ranked"] == 0.5


def test_a_change_by_shifts_is_the_mean_over_four_ways_of_one_to_six_pixels():
    clip = clip_of(30)
    columns = np.broadcast_to(np.arange(32, dtype=np.uint8), clip.frames.shape)
    moved = replace(clip, frames=np.ascontiguousarray(columns), prepared=clip.prepared)

    def middle(pictures):
        return (pictures[:, 0, 8, 16] + 1) * 127.5 / 100  # column 16 without a shift

    found = cosine_numbers(_Stub(middle), moved, 4)
    for px in (1, 6):
        sideways = [abs(math.cos((16 + way * px) / 100) - math.cos(0.16)) for way in (1, -1)]
        assert found[f"shift_{px}_change"] == pytest.approx(sum(sideways) / 4, abs=1e-5)
    changes = [found[f"shift_{px}_change"] for px in range(1, 7)]
    assert found["shift_change"] == pytest.approx(sum(changes) / 6)


def test_a_network_without_a_margin_has_no_shares_and_its_claim_no_verdict():
    found = with_shares({"spread_in_sync": 0.1, "shift_change": 0.2, "margin": 0.4})
    assert (found["spread_share"], found["shift_share"]) == (0.25, 0.5)
    blind = with_shares({"spread_in_sync": 0.0, "shift_change": 0.0, "margin": 0.0})
    assert "spread_share" not in blind
    numbers = {
        key: {name: [value] * 3 for name, value in one.items()}
        for key, one in (("wav2lip", found), ("avsyncnet", blind))
    }
    assert verdict_of(VARIANCE, numbers)[0] == "no verdict"


def test_both_sync_networks_see_the_same_and_have_about_as_many_parameters():
    ours, other = (task_of(AvSyncNetProfile(), name).syncnet for name in ("", "wav2lip_narrow"))
    sizes = [sum(one.numel() for one in network.parameters()) for network in (ours, other)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
    assert ours.config.visual_shape == other.config.visual_shape
    assert other.config.mel_shape == (1, 80, 16)


def test_silence_is_dubbed_for_the_first_clips_only_and_frame_wise_models_have_no_seams():
    wanted = {"silence_clips": 1, "itself": 0}
    assert [_extra(wanted, number) for number in (0, 1)] == [{"silence"}, set()]
    assert _extra({}, 0) == {"foreign_itself"}
    one_by_one = SimpleNamespace(max_overlap_frames=0, frames=5)
    assert not _seams(one_by_one, 30, 0).any()
    assert _seams(SimpleNamespace(max_overlap_frames=8, frames=16), 40, 4).any()
