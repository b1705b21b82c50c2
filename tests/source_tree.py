"""The project's own modules and what they import: what the tests of the structure are made of."""

import ast
from collections.abc import Iterable, Mapping, Set
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

PACKAGES = ("pipeline", "stages", "trainers")


@cache
def modules() -> Mapping[str, Path]:
    """Return dotted name -> path below the root of every module; a package has its own name."""
    paths = [p.relative_to(ROOT) for top in PACKAGES for p in (ROOT / top).rglob("*.py")]
    return {".".join(p.with_suffix("").parts).removesuffix(".__init__"): p for p in sorted(paths)}


@cache
def import_graph() -> Mapping[str, Set[str]]:
    """Return module -> modules of ours that it imports, inside functions and for types too."""
    return {name: imported(ROOT / path, name) for name, path in modules().items()}


def imported(path: Path, name: str = "") -> Set[str]:
    """Return the modules of ours that one file imports anywhere in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = _absolute(node, path)
            found |= {_module_of(package, alias.name) for alias in node.names}
    return {one for one in found if one in modules() and one != name}


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    """Return the package that an import names, a relative one resolved."""
    if not node.level:
        return node.module or ""
    parts = path.relative_to(ROOT).parts[: -node.level]
    return ".".join((*parts, node.module) if node.module else parts)


def _module_of(package: str, name: str) -> str:
    return f"{package}.{name}" if f"{package}.{name}" in modules() else package


def closure(start: str, graph: Mapping[str, Iterable[str]]) -> Set[str]:
    """Return `start` and all that it imports, directly or not."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(graph.get(name, ()))
    return seen


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return one circle of the graph, its first name again at the end; empty when there is none."""
    done: set[str] = set()
    for start in sorted(graph):
        found = _circle_from(start, graph, [], done)
        if found:
            return found
    return []


def _circle_from(
    name: str, graph: Mapping[str, Iterable[str]], path: list[str], done: set[str]
) -> list[str]:
    if name in path:
        return [*path[path.index(name) :], name]
    if name in done:
        return []
    for other in sorted(graph.get(name, ())):
        found = _circle_from(other, graph, [*path, name], done)
        if found:
            return found
    done.add(name)
    return []
