"""A workspace as a fresh clone has it: code, params.yaml, dvc.yaml, and nothing computed."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from benchmarks.bench.child import BIN, ROOT, Spent, environment, run_child

FOLDERS = ("pipeline", "stages", "trainers")
FILES = ("dvc.yaml", "dvc.lock", ".dvcignore", "pyproject.toml")


class Workspace:
    """A copy of the code with its own params.yaml, item cache and DVC, run as a user runs it."""

    def __init__(self, folder: Path, source: Path, **variables: str) -> None:
        """Args: `source` holds the videos; `variables` are set for every command."""
        self.folder = folder
        self.environment = environment(PYTHONPATH=str(folder), **variables)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["ingest"]["source"] = str(source.absolute())
        params["run"]["max_failed_fraction"] = 1.0
        self.write_params(params)
        self.run("dvc", "init", "--no-scm", "-q")

    def params(self) -> dict[str, Any]:
        """Return the content of params.yaml."""
        content: dict[str, Any] = yaml.safe_load((self.folder / "params.yaml").read_text())
        return content

    def write_params(self, params: dict[str, Any]) -> None:
        """Replace params.yaml."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def run(self, command: str, *arguments: str) -> Spent:
        """Run an installed command in the workspace.

        Raises:
            ChildFailedError: it did not exit with 0.
        """
        return run_child([str(BIN / command), *arguments], self.folder, self.environment)

    def repro(self) -> Spent:
        """Run `dvc repro report`."""
        return self.run("dvc", "repro", "report")
