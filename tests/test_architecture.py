"""The rules the tree states, checked."""

import ast
from pathlib import Path

import pytest
import yaml

from pipeline.params.curation import Params
from pipeline.tables.funnel import TABLES
from tests.conftest import ROOT

MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "stages": {"pipeline"},
    "trainers": {"pipeline", "trainers"},
}
SOURCES = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in MAY_IMPORT}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    assert {name.split(".")[0] for name in imports(path)} <= MAY_IMPORT[package]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines_and_none_is_a_drawer_of_odds_and_ends(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in {"utils", "common", "helpers", "misc"}


def test_only_the_demo_imports_its_gpl_extra():
    users = {p for p in SOURCES if "espeakng_loader" in p.read_text(encoding="utf-8")}
    assert {path.parent.name for path in users} <= {"demo"}


@pytest.mark.parametrize("name", [*TABLES, "report"])
def test_stage_module_params_section_and_output_share_one_name(name):
    assert STAGES[name]["cmd"] == f"python -m stages.{name}"
    assert (ROOT / "stages" / f"{name}.py").exists()
    assert name in Params.model_fields
    assert {"pipeline", f"stages/{name}.py"} <= set(STAGES[name]["deps"])
    if name in TABLES:
        assert STAGES[name]["outs"] == [f"data/{name}"]


@pytest.mark.parametrize("name", ["features", "train_syncnet", "train_ldm", "evaluate"])
def test_trainer_module_params_section_and_stage_share_one_name(name):
    assert STAGES[name]["cmd"] == f"python -m trainers.{name}"
    assert (ROOT / "trainers" / f"{name}.py").exists()
    assert name in Params.model_fields
    assert {"pipeline", "trainers"} <= set(STAGES[name]["deps"])
    if name.startswith("train_"):
        assert STAGES[name]["outs"] == [f"models/{name}"]


@pytest.mark.parametrize("name", STAGES)
def test_every_data_dependency_is_the_output_of_an_earlier_stage(name):
    made = {"data/demo/truth.json"}
    for other in list(STAGES)[: list(STAGES).index(name)]:
        kinds = [STAGES[other].get(kind, []) for kind in ("outs", "metrics", "plots")]
        outputs = [out for kind in kinds for out in kind]
        made |= {out if isinstance(out, str) else next(iter(out)) for out in outputs}
    needed = {
        dep for dep in STAGES[name]["deps"] if dep.startswith(("data/", "models/", "reports/"))
    }
    assert needed <= made


def test_no_pickle_no_shell_and_no_catch_all_in_our_code():
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for banned in ("shell=True", "import pickle", "except Exception", "except:", "TODO"):
            assert banned not in text, f"{path}: {banned}"
