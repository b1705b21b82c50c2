"""The container recipe: what it copies and installs is there."""

import re
import tomllib

from tests.conftest import ROOT

TEXT = (ROOT / "deploy/Containerfile").read_text(encoding="utf-8")
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if not line.startswith("#")]


def test_every_path_that_the_recipe_copies_exists():
    copied = [line.split()[2:-1] for line in LINES if line.startswith("COPY")]
    paths = [path for one in copied for path in one]
    assert {"constraints.txt", "pipeline", "stages", "trainers"} <= set(paths)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_extra_and_command_of_the_recipe_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"\.\[([a-z0-9,-]+)\]", TEXT)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert "lipforge weights fetch" in TEXT
    assert "lipforge" in project["scripts"]


def test_the_recipe_installs_by_the_pinned_versions_and_runs_without_root():
    installs = [line for line in LINES if "pip install" in line]
    assert all("constraints.txt" in line for line in installs)
    assert re.search(r"^torch==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    users = [line.split()[1] for line in LINES if line.startswith("USER")]
    assert users
    assert users[-1] != "root"
    after = LINES[[line.startswith("USER") for line in LINES].index(True) :]
    assert not [line for line in after if "apt-get" in line]
