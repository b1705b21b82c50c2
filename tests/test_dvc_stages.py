"""The rules of dvc.yaml: a stage is one module, and its `deps` are what that imports."""

from pathlib import PurePosixPath

import pytest

from pipeline.engine.again import AGAIN
from pipeline.engine.again import STAGES as RETRIED
from pipeline.engine.optional_stages import NEEDS
from pipeline.params.curation import Params
from pipeline.tables.funnel import TABLES
from tests.conftest import ROOT
from tests.dvc_dependencies import code_dependencies, module_of, stages
from tests.source_tree import PACKAGES, modules

TRAINING = (
    "features",
    "train_syncnet",
    "train_ldm",
    "avsyncnet",
    "silent_lip",
    "stabilized",
    "syncdiff",
    "evaluate",
    "training_report",
)
OPTIONAL = tuple(NEEDS)
"""Stages whose module is named `train_` and the stage: each trains one model."""
CURATION = [name for name in stages() if name not in TRAINING]


@pytest.mark.parametrize("name", stages())
def test_a_stage_is_one_module_of_its_name(name):
    package = "trainers" if name in TRAINING else "stages"
    module = f"train_{name}" if name in OPTIONAL else name
    assert module_of(name) == f"{package}.{module}"


@pytest.mark.parametrize("name", [*TABLES, "report"])
def test_stage_params_section_and_output_share_one_name(name):
    assert name in Params.model_fields
    if name in TABLES:
        (out,) = stages()[name]["outs"]
        assert out in (f"data/{name}", {f"data/{name}": {"persist": True}})


@pytest.mark.parametrize("name", ["features", "train_syncnet", "train_ldm", "evaluate"])
def test_trainer_params_section_and_output_share_one_name(name):
    assert name in Params.model_fields
    if name.startswith("train_"):
        assert stages()[name]["outs"] == [f"models/{name}"]


@pytest.mark.parametrize("name", [name for name in OPTIONAL if name in stages()])
def test_an_optional_stage_keeps_its_outputs_and_waits_to_be_named(name):
    assert name in Params.model_fields
    stage = stages()[name]
    assert f"{AGAIN}/{name}.json" in stage["deps"]
    assert stage["outs"] == [{f"models/{name}": {"persist": True}}]
    assert stage["metrics"] == [{f"reports/{name}.json": {"cache": False, "persist": True}}]
    (plot,) = stage["plots"]
    assert plot[f"reports/{name}_curve.csv"]["persist"]


@pytest.mark.parametrize("name", stages())
def test_deps_name_the_code_that_a_stage_imports_no_more_and_no_fewer(name):
    """`python -m tests.dvc_dependencies` prints what dvc.yaml must say."""
    named = [dep for dep in stages()[name]["deps"] if dep.split("/")[0] in PACKAGES]
    assert sorted(named) == code_dependencies(module_of(name))


def stages_that_see(path: str) -> set[str]:
    """Return the stages whose `deps` name a path or a folder around it: an edit runs them again."""
    return {
        name
        for name, stage in stages().items()
        if any(PurePosixPath(path).is_relative_to(dep) for dep in stage["deps"])
    }


def test_an_edit_of_a_trainer_runs_no_curation_stage():
    for path in modules().values():
        if path.parts[0] == "trainers":
            assert stages_that_see(path.as_posix()).isdisjoint(CURATION), path


def test_an_edit_of_the_report_runs_the_report_alone():
    files = [p.relative_to(ROOT).as_posix() for p in (ROOT / "pipeline" / "report").iterdir()]
    for path in files:
        if not path.endswith(("__init__.py", "__pycache__")):
            assert stages_that_see(path) == {"report"}, path


def test_an_edit_of_a_stage_module_runs_that_stage_alone():
    for name in stages():
        path = modules()[module_of(name)].as_posix()
        assert stages_that_see(path) == {name}


@pytest.mark.parametrize("name", stages())
def test_every_data_dependency_is_the_output_of_an_earlier_stage(name):
    made = {"data/demo/truth.json", *(f"{AGAIN}/{one}.json" for one in (*RETRIED, *NEEDS))}
    for other in list(stages())[: list(stages()).index(name)]:
        kinds = [stages()[other].get(kind, []) for kind in ("outs", "metrics", "plots")]
        outputs = [out for kind in kinds for out in kind]
        made |= {out if isinstance(out, str) else next(iter(out)) for out in outputs}
    needed = {
        dep for dep in stages()[name]["deps"] if dep.startswith(("data/", "models/", "reports/"))
    }
    assert needed <= made
