"""The rules the tree states, checked."""

import ast
import json
from collections.abc import Mapping, Set
from pathlib import PurePosixPath

import pytest

from tests import source_tree
from tests.conftest import ROOT
from tests.source_tree import PACKAGES, circle, import_graph, modules

ROOMS: Mapping[str, tuple[str, ...]] = {
    "pipeline": (
        "__main__",
        "cli",
        "audit",
        "report",
        "leak",
        "demo",
        "submit",
        "export",
        "takedown",
        "validation",
        "recipe",
        "judge/command",
        "judge",
        "shards",
        "shard_index",
        "selection",
        "quality",
        "identity",
        "faces",
        "player",
        "media",
        "html",
        "tables",
        "engine",
        "sources",
        "local_copies",
        "scratch",
        "weights",
        "params",
        "limits",
        "taken_down",
        "atomic",
        "remote",
        "digest",
        "elementary",
        "exact_layers",
        "processor",
        "roc",
        "runs",
        "faults",
        "errors",
    ),
    "trainers": (
        "training_report",
        "evaluate",
        "train_ldm",
        "train_stabilized",
        "train_silent_lip",
        "train_avsyncnet",
        "train_syncdiff",
        "train_syncnet",
        "features",
        "dubbing",
        "evaluation",
        "page",
        "trained_models",
        "systems/latentsync",
        "systems/stabilized",
        "systems/avsyncnet",
        "systems/syncdiff",
        "systems/landmark_judge",
        "systems/mouth_cover",
        "systems/stable_syncnet",
        "talking_face",
        "sidecar",
        "frozen",
        "audio",
        "preflight",
        "data",
        "loop",
        "processes",
        "errors",
    ),
}
"""The rooms of a package, top floor first: a room imports only from rooms after it."""
DOORS = {room for room in ROOMS["trainers"] if (ROOT / "trainers" / f"{room}.py").is_file()} - {
    "errors",
    "trained_models",
}
"""Modules of trainers/ that are DVC stages; like those of stages/ they do not import each other."""
MAY_IMPORT = {
    "pipeline": {"pipeline"},
    "stages": {"pipeline"},
    "trainers": {"pipeline", "trainers"},
}
PACKAGE_FILES = [path for path in modules().values() if path.name == "__init__.py"]


def room_of(module: str) -> str:
    """Return the room of a module of `pipeline` or `trainers`; empty for a folder of rooms."""
    package, _, rest = module.partition(".")
    path = PurePosixPath(rest.replace(".", "/"))
    for room in ROOMS[package]:
        if path.is_relative_to(room):
            return room
    return "" if modules()[module].name == "__init__.py" else f"no room for {module}"


def pointing_up(graph: Mapping[str, Set[str]], package: str) -> list[str]:
    """Return `importer -> imported` for every import inside a package that does not point down."""
    floor = {room: number for number, room in enumerate(ROOMS[package])}
    return sorted(
        f"{name} -> {other}"
        for name, others in graph.items()
        for other in others
        if name.split(".")[0] == other.split(".")[0] == package
        and room_of(name) != room_of(other)
        and floor[room_of(name)] > floor[room_of(other)]
    )


@pytest.mark.parametrize("module", modules())
def test_imports_between_packages_point_one_way(module):
    mine = module.split(".")[0]
    assert {name.split(".")[0] for name in import_graph()[module]} <= MAY_IMPORT[mine]


@pytest.mark.parametrize("package", ROOMS)
def test_every_module_has_a_room_and_every_room_modules(package):
    found = {room_of(name) for name in modules() if name.startswith(f"{package}.")}
    assert found - {""} == set(ROOMS[package])


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_from_rooms_below_it(package):
    assert pointing_up(import_graph(), package) == []


def test_an_import_that_points_up_is_named_with_both_modules():
    graph = {"pipeline.media.audio": {"pipeline.judge.curve", "pipeline.errors"}}
    assert pointing_up(graph, "pipeline") == ["pipeline.media.audio -> pipeline.judge.curve"]


def test_no_files_import_each_other_in_a_circle():
    assert circle(import_graph()) == []


def test_a_circle_is_found_and_named():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set()}
    assert circle(graph) == ["b", "c", "b"]


def test_modules_that_are_dvc_stages_do_not_import_each_other():
    doors = {f"trainers.{name}" for name in DOORS}
    doors |= {name for name in modules() if name.startswith("stages.")}
    arrows = {f"{a} -> {b}" for a in doors for b in import_graph()[a] & doors}
    assert arrows == set()


RUN_AS_COMMAND = {
    ("pipeline/demo/speech.py", "pipeline.demo.speech"),
    ("pipeline/engine/ray_head.py", "pipeline.engine.ray_head"),
    ("pipeline/submit/command.py", "pipeline.submit.job"),
}
"""A module that starts itself in a process of its own."""
DYNAMIC = {"runpy", "__import__", "exec", "eval", "resolve_name"}
"""Names by which code could import what no reader of its imports would see."""
OUTSIDE = {"tests", "benchmarks"}
THIRD_PARTY_BY_NAME = {"pipeline/demo/portrait.py"}
"""Import an optional package by a name that is not a literal."""


def code_strings(tree: ast.Module) -> set[str]:
    """Return every string constant of a module that is no docstring."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
    }


def hidden_arrows(path: str, text: str) -> list[str]:
    """Return what a module does that may import a module of ours unseen."""
    tree = ast.parse(text)
    names = {name for name, file in modules().items() if file.name != "__init__.py"}
    named = {one for one in code_strings(tree) if one.partition(":")[0] in names}
    found = [one for one in named if (path, one) not in RUN_AS_COMMAND]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += outside_imports(node)
        elif isinstance(node, ast.Call):
            found += dynamic_imports(node, by_variable=path in THIRD_PARTY_BY_NAME)
    return found


def outside_imports(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the imported names that are tools for unseen imports, or lie outside of the code."""
    module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
    names = [module, *(alias.name for alias in node.names)]
    tops = [module] if module else names
    return [n for n in names if n in DYNAMIC] + [t for t in tops if t.split(".")[0] in OUTSIDE]


def dynamic_imports(node: ast.Call, by_variable: bool) -> list[str]:
    """Return a call that imports by a name which is no literal."""
    called = ast.unparse(node.func)
    literal = bool(node.args) and isinstance(node.args[0], ast.Constant)
    by_name = called.split(".")[-1] == "import_module" and not literal and not by_variable
    return [ast.unparse(node)] if called in DYNAMIC or by_name else []


@pytest.mark.parametrize("path", modules().values(), ids=str)
def test_no_module_is_imported_unseen(path):
    """By a name in a string, by runpy or exec; and nothing of ours imports tests or benchmarks."""
    assert hidden_arrows(path.as_posix(), (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import runpy",
        "from runpy import run_module",
        "importlib.import_module(NAME)",
        'import_module("pipeline.quality.speech")',
        'im("pipeline.quality.speech")',
        '__import__("pipeline")',
        'exec("import pipeline")',
        'pkgutil.resolve_name("pipeline.quality.speech:x")',
        'sys.modules["pipeline.quality.speech"]',
        'run([sys.executable, "-m", "pipeline.quality.speech"])',
        "from tests import doubles",
        "from benchmarks.judge import main",
    ],
)
def test_an_unseen_import_is_found(line):
    assert hidden_arrows("pipeline/media/clock.py", line)


def test_no_data_file_names_a_function_of_ours():
    ours = tuple(f"{package}." for package in PACKAGES)
    for path in (ROOT / "pipeline").rglob("*.json"):
        for text in strings(json.loads(path.read_text(encoding="utf-8"))):
            assert not (text.startswith(ours) and ":" in text), path


def test_a_relative_import_is_followed():
    clock = ROOT / "pipeline" / "media" / "clock.py"
    node = ast.parse("from ..quality import speech").body[0]
    assert source_tree._absolute(node, clock) == "pipeline.quality"
    assert (
        source_tree._absolute(ast.parse("from . import audio").body[0], clock) == "pipeline.media"
    )


def strings(value: object) -> list[str]:
    """Return every string of a JSON value."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", modules().values(), ids=str)
def test_no_file_is_longer_than_400_lines_and_none_is_a_drawer_of_odds_and_ends(path):
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in {"utils", "common", "helpers", "misc"}


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=str)
def test_a_package_says_what_it_is_and_holds_no_code(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_only_the_demo_imports_its_gpl_extra():
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in modules().values()}
    users = {path.parent.name for path, text in texts.items() if "espeakng_loader" in text}
    assert users <= {"demo"}


def test_no_pickle_no_shell_and_no_catch_all_in_our_code():
    for path in modules().values():
        text = (ROOT / path).read_text(encoding="utf-8")
        for banned in ("shell=True", "import pickle", "except Exception", "except:", "TODO"):
            assert banned not in text, f"{path}: {banned}"


def test_no_two_public_classes_share_a_name():
    places: dict[str, list[str]] = {}
    for path in modules().values():
        for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.as_posix())
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
