"""The benchmark of training steps, on the profiles for two cores."""

import json

import pytest
import torch

from benchmarks.train import main
from benchmarks.training_cases import RANDOM, new_task, profile_named
from pipeline.errors import ParamsError
from pipeline.params.curation import load_params
from tests.conftest import ROOT

QUICK = ("--random-weights", "--case-seconds", "0", "--micro-batch", "1", "--micro-batches", "1")


def measured(tmp_path, *given):
    out = tmp_path / "speed.json"
    main(["--params", str(ROOT / "params.yaml"), "--out", str(out), *QUICK, *given])
    return json.loads(out.read_text())


def test_every_profile_is_measured_in_every_way_and_written(tmp_path, capsys):
    found = measured(tmp_path, "--profiles", "syncnet:tiny,ldm:tiny", "--ways", "plain")
    rows = found["rows"]
    assert [row["case"]["profile"] for row in rows] == ["syncnet:tiny", "ldm:tiny"]
    assert {row["outcome"] for row in rows} == {"measured"}
    for row in rows:
        assert row["steps"] >= 3
        assert row["samples_per_s"] == pytest.approx(1 / row["step_s"])
        assert 0 < row["peak_share"] < 2
    assert found["random_weights"] is True
    printed = capsys.readouterr().out
    assert "random weights of the real sizes" in printed
    assert len([line for line in printed.splitlines() if line.startswith(("syncnet", "ldm"))]) == 2


def test_what_the_time_does_not_allow_is_named(tmp_path):
    found = measured(
        tmp_path, "--profiles", "ldm:tiny", "--ways", "plain,compile", "--seconds", "-1"
    )
    outcomes = {row["outcome"] for row in found["rows"]}
    assert outcomes == {"not measured: the time is over"}


def test_unknown_names_are_told_the_known_ones(tmp_path, capsys):
    with pytest.raises(ParamsError, match="no such profile; known: syncnet:tiny, "):
        measured(tmp_path, "--profiles", "ldm:huge", "--ways", "plain")
    with pytest.raises(SystemExit):
        measured(tmp_path, "--ways", "plan")
    assert "known: plain, bf16" in capsys.readouterr().err


def test_published_profiles_get_all_networks_at_their_real_sizes():
    profile = profile_named(load_params(ROOT / "params.yaml"), "ldm:stage2")
    task = new_task(profile, torch.device("meta"), random_weights=True)
    millions = {
        role: round(sum(p.numel() for p in part.network.parameters()) / 1e6)
        for role, part in task.networks.by_role().items()
    }
    assert millions == {"vae": 84, "lpips": 15, "videomae": 1012, "syncnet": 401}
    assert all(part.name.startswith(RANDOM) for part in task.networks.by_role().values())
    assert round(sum(p.numel() for p in task.unet.parameters()) / 1e6) == 1267
