"""Sync scores by judge, and their names."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.judge.choice import Choice
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.syncnet.judge import SyncNetJudge
from pipeline.judge.syncnet.network import SyncNet
from tests.golden_rules import rule_frames, rule_sound
from trainers.audio.mel import mel_window
from trainers.evaluation.sync_scores import (
    AlignedFaceJudge,
    score_disentanglement,
    stable_syncnet_cosine,
)
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.network import StableSyncNet

FRAMES = 24


@pytest.fixture(scope="module")
def clip():
    frames = rule_frames(FRAMES, 64, 64, seed=1).transpose(0, 3, 1, 2).copy()
    points = np.random.default_rng(0).uniform(5, 59, (FRAMES, 468, 3)).astype(np.float32)
    return frames, points, rule_sound(FRAMES / 25, 1)


def choice(judge: str, fallback: str = "") -> Choice:
    return Choice(judge, "masked", "float32", "0" * 64, fallback=fallback)


def test_the_landmark_judge_gives_no_lse_and_the_reason(clip):
    judge = AlignedFaceJudge(choice("landmark"), LandmarkJudge.load(), "mesh468")
    scores = judge.scores(*clip)
    assert {"landmark_probability", "landmark_offset_within_1"} <= set(scores)
    assert not any("lse" in name for name in scores)
    assert judge.facts()["lse"].startswith("not measured")


def test_the_syncnet_judge_gives_lse_and_no_landmark_numbers(clip):
    torch.manual_seed(0)
    judge = AlignedFaceJudge(choice("syncnet"), SyncNetJudge(SyncNet().eval()), "mesh468")
    scores = judge.scores(*(part[:12] for part in clip[:2]), clip[2])
    assert set(scores) == {"lse_c", "lse_d", "syncnet_abs_offset_frames"}
    assert "lse" not in judge.facts()


def test_a_fallback_judge_is_recorded():
    judge = AlignedFaceJudge(choice("landmark", "no network"), None, "mesh468")
    assert judge.facts()["instead_of_syncnet_because"] == "no network"


def test_a_clip_without_a_face_has_no_scores(clip):
    judge = AlignedFaceJudge(choice("landmark"), LandmarkJudge.load(), "mesh468")
    frames, points, sound = clip
    assert judge.scores(frames, np.full_like(points, np.nan), sound) == {}


def test_scores_that_depend_on_the_sound_are_half_of_both_differences():
    judged = {
        ("own", "own"): {"lse_c": 7.0, "lse_d": 6.0},
        ("foreign", "foreign"): {"lse_c": 5.0, "lse_d": 9.0},
        ("own_itself", "own"): {"lse_c": 8.0, "lse_d": 6.0},
        ("foreign_itself", "foreign"): {"lse_c": 8.5, "lse_d": 5.5},
    }
    versions = [version for version, _ in judged]
    found = score_disentanglement(lambda *pair: judged[pair], versions)
    assert found == {"lsd_ar": 2.5, "lsd_cr": 0.5}
    assert score_disentanglement(lambda *pair: {}, versions) == {}
    assert score_disentanglement(lambda *pair: judged[pair], ["own"]) == {}


class RecordingSyncNet(nn.Module):
    """Stands in for StableSyncNet: records its inputs; every pair has cosine 1."""

    def __init__(self):
        super().__init__()
        self.config, self.weight, self.mels = CONFIGS["tiny"], nn.Parameter(torch.ones(1)), []

    def forward(self, visual, mel):
        self.mels += list(mel)
        return visual.flatten(1)[:, :4], visual.flatten(1)[:, :4]


def test_stable_syncnet_gets_the_mel_of_each_window(clip):
    network = RecordingSyncNet()
    frames, _, sound = clip
    assert stable_syncnet_cosine(network, frames, sound) == pytest.approx(1)
    for mel, start in zip(network.mels, (0, 5), strict=True):
        np.testing.assert_allclose(mel[0], mel_window(sound, start, 16), atol=1e-5)


def test_a_clip_shorter_than_a_window_has_no_cosine(clip):
    network = StableSyncNet(CONFIGS["tiny"]).eval()
    assert np.isnan(stable_syncnet_cosine(network, clip[0][:15], clip[2]))
