"""What `deps` of a DVC stage must name of our code: `python -m tests.dvc_dependencies` prints it.

The import closure of a stage's module, folder by folder: a folder of which the closure needs
several files, and some of each folder inside it, is named as a whole; else its files are named one
by one. A data file (template, weights, lock) counts as a file of the module that names it.
"""

import ast
import re
import sys
from collections.abc import Iterable, Set
from functools import cache
from pathlib import Path, PurePosixPath

import yaml

from tests.conftest import ROOT
from tests.source_tree import PACKAGES, closure, import_graph, modules


@cache
def stages() -> dict[str, dict[str, object]]:
    """Return the stages of dvc.yaml."""
    content: dict[str, dict[str, object]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())[
        "stages"
    ]
    return content


def module_of(stage: str) -> str:
    """Return the module that a stage's command runs."""
    found = re.fullmatch(r"python -m ([\w.]+)( .*)?", str(stages()[stage]["cmd"]))
    assert found, f"{stage}: cmd is no `python -m MODULE`"
    return found[1]


def code_dependencies(module: str) -> list[str]:
    """Return the files and folders that `deps` of a stage running `module` must name, sorted."""
    files = needed_files(module)
    tops = {PurePosixPath(name) for name in PACKAGES}
    return sorted({one for top in tops for one in _named(top, files)})


def needed_files(module: str) -> Set[str]:
    """Return the paths of the closure of a module and of the data files they name."""
    names = closure(module, import_graph())
    paths = [modules()[name] for name in names]
    code = {path.as_posix() for path in paths if path.name != "__init__.py"}
    return code | {data for path in paths for data in data_files(path)}


def data_files(path: Path) -> Set[str]:
    """Return the files beside a module whose names stand in it as strings."""
    beside = {p.name for p in (ROOT / path).parent.iterdir() if p.is_file() and p.suffix != ".py"}
    if not beside:
        return set()
    strings = {
        node.value
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {(path.parent / name).as_posix() for name in beside & strings}


def _named(folder: PurePosixPath, files: Set[str]) -> Iterable[str]:
    inside = {file for file in files if PurePosixPath(file).is_relative_to(folder)}
    if not inside:
        return
    if len(inside) > 1 and str(folder) not in PACKAGES and _needs_every_folder(folder, inside):
        yield str(folder)
        return
    for file in inside:
        if PurePosixPath(file).parent == folder:
            yield file
    for name in _folders(folder):
        yield from _named(folder / name, inside)


def _needs_every_folder(folder: PurePosixPath, files: Set[str]) -> bool:
    return all(
        any(PurePosixPath(file).is_relative_to(folder / name) for file in files)
        for name in _folders(folder)
    )


def _folders(folder: PurePosixPath) -> list[str]:
    return [p.name for p in (ROOT / folder).iterdir() if (p / "__init__.py").exists()]


def main() -> None:
    """Print the code dependencies of every stage, as dvc.yaml wants them."""
    for name in stages():
        lines = "".join(f"\n      - {one}" for one in code_dependencies(module_of(name)))
        sys.stdout.write(f"  {name}:{lines}\n")


if __name__ == "__main__":
    main()
