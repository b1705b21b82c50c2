"""The stage `syncdiff`: off until it is named, then a model in place of what was left."""

import json

import pytest
import yaml

from tests.trainers.data.made_shards import write_shards
from tests.trainers.systems.syncdiff.made import FIT, SMALL, profile_of
from trainers.systems.syncdiff.configs import CONFIGS
from trainers.train_syncdiff import main


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path / "training"))
    monkeypatch.setitem(CONFIGS, "small", SMALL)
    for split in ("train", "val"):
        made = write_shards(tmp_path / f"made-{split}", [[6]])
        (tmp_path / "data" / "shards").mkdir(parents=True, exist_ok=True)
        made.rename(tmp_path / "data" / "shards" / split)
    fit = FIT.model_copy(update={"max_steps": 1, "validate_every": 1})
    profile = profile_of(fit=fit, batch=1, in_flight_clips=1)
    section = {"profiles": {"tiny": profile.model_dump()}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"syncdiff": section}))
    return tmp_path


def test_it_trains_once_it_is_named_and_says_so_before(workspace):
    main()
    model, report = workspace / "models/syncdiff", workspace / "reports/syncdiff.json"
    assert [one.name for one in model.iterdir()] == ["untrained.json"]
    assert json.loads(report.read_text())["trained"] is False
    curve = workspace / "reports/syncdiff_curve.csv"
    assert curve.read_text() == "step\n"
    named = workspace / "data/again/syncdiff.json"
    named.parent.mkdir(parents=True)
    named.write_text(json.dumps({"named": True}))
    main()
    found = sorted(one.name for one in model.iterdir())
    assert found == ["model.json", "syncdiff.safetensors"]
    assert json.loads(report.read_text())["step"] == 1
    assert "validation/mouth_psnr_db" in curve.read_text()
