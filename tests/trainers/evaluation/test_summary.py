"""Clips' numbers as JSON and as a table."""

import math

import pytest
import torch

from trainers.evaluation.clip_scores import ClipScores
from trainers.evaluation.summary import for_json, mean_scores, spreads, summary, table


def clip(key, own, features=None):
    return ClipScores(key, "", 20, {"own": own}, features or {})


def test_a_number_that_a_clip_lacks_is_no_zero():
    found = mean_scores([{"lmd_px": 2.0, "judged": 1.0}, {"lmd_px": math.nan, "judged": 0.0}])
    assert found == {"lmd_px": 2.0, "judged": 0.5, "clips": 2}


def test_a_spread_is_the_deviation_of_the_clips_that_have_the_number():
    found = spreads([{"own_r": 0.2}, {"own_r": 0.6, "leak_r": 0.1}, {"own_r": math.nan}])
    assert found == {"own_r": pytest.approx(0.2), "leak_r": 0}


def test_json_has_null_where_there_is_no_number():
    assert for_json({"a": [math.nan, math.inf, 1.5], "b": {"c": None}}) == {
        "a": [None, None, 1.5],
        "b": {"c": None},
    }


def test_the_table_has_a_row_per_clip_in_their_order_and_empty_cells():
    rows = table([clip("b", {"ssim": 0.5}), clip("a", {"ssim": math.nan, "lmd_px": 1.0})])
    assert rows.splitlines() == [
        "clip,sound_of,frames,own_lmd_px,own_ssim",
        "a,,20,1,",
        "b,,20,,0.5",
    ]


def test_the_frechet_distance_is_that_of_all_clips_together():
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(40, 3, generator=generator) for _ in range(4)]
    clips = [
        clip("a", {}, {"fid_stand_in": {"real": made[0], "own": made[1]}}),
        clip("b", {}, {"fid_stand_in": {"real": made[1], "own": made[0]}}),
    ]
    found = summary(clips)["own"]["fid_stand_in"]
    assert found["real_samples"] == found["made_samples"] == 80
    assert abs(found["value"]) < 1e-6


def test_clips_too_short_for_a_window_give_no_samples():
    clips = [clip("a", {}, {"fvd_videomae": {"real": torch.empty(0, 0), "own": torch.empty(0, 0)}})]
    assert summary(clips)["own"]["fvd_videomae"]["value"] is None
