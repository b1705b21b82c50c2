"""Every trained system is one folder of one shape."""

import pytest

from tests.conftest import ROOT

SYSTEMS = ROOT / "trainers" / "systems"
SHAPE = ("network", "items", "losses", "task", "training", "files")
ELSEWHERE = {
    ("landmark_judge", "task"): "trainers/systems/landmark_judge/fit_network.py",  # its own loop
}
"""What of a system lies elsewhere, and where."""
NAMES = sorted(path.parent.name for path in SYSTEMS.glob("*/__init__.py"))


@pytest.mark.parametrize("part", SHAPE)
@pytest.mark.parametrize("system", NAMES)
def test_a_system_has_each_part_under_its_name(system, part):
    there = [SYSTEMS / system / f"{part}.py", SYSTEMS / system / part / "__init__.py"]
    if (system, part) in ELSEWHERE:
        assert not any(path.exists() for path in there), "no longer an exception"
        there = [ROOT / ELSEWHERE[system, part]]
    assert any(path.exists() for path in there)


def test_there_are_systems():
    assert {"landmark_judge", "latentsync", "stable_syncnet"} <= set(NAMES)
