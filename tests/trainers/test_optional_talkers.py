"""The doors of `avsyncnet`, `silent_lip`, `stabilized`: off until named, each before the next."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.engine.optional_stages import note_named
from tests.conftest import ROOT
from tests.trainers.data.made_shards import write_shards
from tests.trainers.systems.stabilized.made import SMALL
from trainers import train_avsyncnet, train_silent_lip, train_stabilized
from trainers.systems.avsyncnet.configs import CONFIGS as SYNC_CONFIGS
from trainers.systems.stabilized.configs import CONFIGS
from trainers.trained_models import load_model

DOORS = {
    "avsyncnet": train_avsyncnet,
    "silent_lip": train_silent_lip,
    "stabilized": train_stabilized,
}


@pytest.fixture
def small(workspace, monkeypatch):
    """A workspace whose profiles make two steps of small networks."""
    monkeypatch.setitem(CONFIGS, "tiny", replace(SMALL, sound=16))
    sync = replace(SYNC_CONFIGS["tiny"], embedding=16, resolution=32)
    monkeypatch.setitem(SYNC_CONFIGS, "tiny", sync)
    monkeypatch.setenv("LIPFORGE_TRAINING", str(workspace / "training"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in DOORS:
        profile = params[name]["profiles"]["tiny"]
        profile["batch"] = 2
        profile["fit"] |= {"max_steps": 2, "warmup_steps": 0, "validate_every": 2}
        if "sample_every" in profile["fit"]:
            profile["fit"]["sample_every"] = 2
    (workspace / "params.yaml").write_text(yaml.safe_dump(params))
    made = write_shards(workspace / "data" / "shards", ((20, 24),))
    shutil.copytree(made, made.with_name("val"))
    return workspace


def reported(name):
    return json.loads(Path(f"reports/{name}.json").read_text())


def test_a_stage_that_nobody_named_leaves_word_and_no_model(small):
    note_named([])
    for name, door in DOORS.items():
        door.main()
        assert reported(name)["trained"] is False
        assert [path.name for path in Path("models", name).iterdir()] == ["untrained.json"]
        assert Path(f"reports/{name}_curve.csv").read_text() == "step\n"


@pytest.mark.slow
def test_naming_the_last_one_trains_all_three_and_its_model_can_be_loaded(small):
    note_named([])
    for door in DOORS.values():
        door.main()
    note_named([["dvc", "repro", "stabilized"]])
    for door in DOORS.values():
        door.main()
    assert all(reported(name)["trained"] for name in DOORS)
    assert not list(Path("models").glob("*/untrained.json"))
    model = load_model(Path("models/stabilized"))
    assert (model.system, model.size_px, model.frames) == ("stabilized", 32, 5)
    assert model.silent_lip is not None
    assert load_model(Path("models/silent_lip")).silent_lip is None
    assert "validation/toward_truth" in Path("reports/stabilized_curve.csv").read_text()
