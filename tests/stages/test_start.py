"""What a stage may import before it has anything to do: every run pays the start of every stage."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("ai_edge_litert", "diffusers", "dvc", "insightface", "jinja2", "matplotlib"),
    *("numba", "onnx", "onnxruntime", "pandas", "ray", "requests", "rich", "scenedetect", "scipy"),
    *("skimage", "sklearn", "torch", "transformers", "webdataset"),
}
"""Packages that take from 0.03 s (jinja2) to 1.5 s (torch) of CPU time to import."""
NEEDED = {
    "ingest": set(),
    "scenes": {"scenedetect"},
    "faces": set(),
    "sync": set(),
    "stretches": set(),
    "quality": {"onnxruntime", "scipy"},
    "select": set(),
    "shards": {"jinja2"},
    "report": {"jinja2", "onnxruntime"},
}
"""Of these, what a stage's module imports."""
JUDGE = """
from pipeline.judge.choice import choose, evidence_model
from pipeline.judge.film import FilmClip, judge_film
from pipeline.params.curation import SyncParams
from tests.pipeline.judge.talking import talking
found = choose(SyncParams()).load().score(*talking(150))
assert found.drift_frames is not None
judge_film([FilmClip(0, 150, found.distances)], evidence_model("landmark"))
"""


def imported_by(code: str) -> set[str]:
    """Return the heavy packages that a new process has imported after some code."""
    ask = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    return HEAVY & set(json.loads(subprocess.check_output([sys.executable, "-c", ask], text=True)))


@pytest.mark.parametrize("stage", NEEDED)
def test_a_stage_starts_without_the_heavy_packages_that_it_does_not_need(stage: str) -> None:
    assert imported_by(f"import stages.{stage}") <= NEEDED[stage]


def test_the_landmark_judge_judges_clip_and_film_without_torch_and_scipy() -> None:
    assert imported_by(JUDGE) == {"onnx", "onnxruntime"}
