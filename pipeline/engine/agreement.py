"""Driver and workers of a cluster are alike in all that decides a result, before the first item.

The driver writes down what holds on its machine; every worker compares when it starts. On this
machine alone there is nothing to compare: workers run the same interpreter on the same files.
"""

import hashlib
import platform
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.digest import canonical_json
from pipeline.engine.stage import Stage
from pipeline.errors import ClusterError, WeightsError
from pipeline.params.environment import environment
from pipeline.weights.sharing import bring, offer, portable_path

PACKAGES = (
    *("ai-edge-litert", "av", "diffusers", "fsspec", "insightface", "numpy"),
    *("onnxruntime", "onnxruntime-gpu", "opencv-python", "opencv-python-headless", "ray"),
    *("safetensors", "scenedetect", "scipy", "silero-vad", "soundfile", "torch", "transformers"),
)
"""Their versions decide results, or whether one machine understands the other."""
CODE = ("pipeline", "stages", "trainers")
CODE_SUFFIXES = (".py", ".json", ".safetensors", ".npz")
ROOT = Path(__file__).resolve().parents[2]
ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What holds on the machine that runs the command."""

    facts: Mapping[str, str]
    """What it is -> its value, as `_facts`."""
    digests: Mapping[str, str]
    """Model file -> SHA-256."""
    own: Mapping[str, str]
    """Model file that the user named -> path, `~` for the home folder."""
    cache: str
    """The shared cache, which has the model files."""


def agreement_of(stage: Stage[Any, Any]) -> Agreement | None:
    """Return what every worker must have, and offer it the model files; None: no cluster.

    Raises:
        WeightsError: a model file is absent or altered.
        StorageError: the shared cache cannot be written.
    """
    if not environment().ray_address:
        return None
    digests = _digests(stage)
    own: dict[str, Path] = {}
    for one in (stage, *stage.works_ahead_for()):
        own |= one.own_weights()
    offer(environment().cache, digests, own)
    paths = {name: portable_path(path) for name, path in own.items()}
    return Agreement(_facts(stage), digests, paths, environment().cache)


def insist(agreed: Agreement | None, stage: Stage[Any, Any]) -> None:
    """Fetch the model files that this machine lacks, then compare; the worker's part.

    Raises:
        ClusterError: something differs; names node, what, both values and the fix.
    """
    if agreed is None:
        return
    try:
        bring(agreed.cache, agreed.digests, {n: Path(path) for n, path in agreed.own.items()})
        found = _facts(stage)
    except WeightsError as error:
        raise ClusterError(f"node {_node()}: {error}") from error
    if line := difference(agreed.facts, found, _node()):
        raise ClusterError(line)


def difference(wanted: Mapping[str, str], found: Mapping[str, str], node: str) -> str:
    """Return one line about the first difference and how many there are; empty: none."""
    names = [
        name
        for name in [*wanted, *sorted(found.keys() - wanted)]
        if wanted.get(name, ABSENT) != found.get(name, ABSENT)
    ]
    if not names:
        return ""
    name, more = names[0], f" ({len(names)} differences in all)" if names[1:] else ""
    here, there = wanted.get(name, ABSENT), found.get(name, ABSENT)
    said = f"{name} is {there}, but {here} on the machine that runs the command"
    return f"node {node}: {said}{more}; {_fix(name, here)}"


def _fix(name: str, here: str) -> str:
    kind, _, what = name.partition(" ")
    if kind == "package" and here != ABSENT:
        return f"on that node: pip install '{what}=={here}', or all of constraints.txt"
    fixes = {
        "package": f"on that node: pip uninstall {what}",
        "Python": "start that node's Ray with the same Python version",
        "code": "that node imports another copy of lipforge: uninstall the one it has",
        "weights": "give that node the same file",
    }
    return fixes.get(kind, "install the same packages on both")


def _facts(stage: Stage[Any, Any]) -> dict[str, str]:
    facts = {"Python": platform.python_version()}
    facts |= {f"package {name}": package_version(name) for name in PACKAGES}
    facts["code"] = code_digest()[:16]
    facts |= {f"weights {name}": sha256[:16] for name, sha256 in sorted(_digests(stage).items())}
    for one in (stage, *stage.works_ahead_for()):
        for name, value in sorted(one.cache_params().items()):
            parts = value.items() if isinstance(value, dict) else [("", value)]
            facts |= {f"parameter {name} {part}".strip(): canonical_json(v) for part, v in parts}
    return facts


def _digests(stage: Stage[Any, Any]) -> dict[str, str]:
    stages = (stage, *stage.works_ahead_for())
    return {name: sha256 for one in stages for name, sha256 in one.weights().items()}


def package_version(name: str) -> str:
    """Return the installed version of a package, or that it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ABSENT


@cache
def code_digest() -> str:
    """Return the SHA-256 of our code, as it lies beside this module, with the data it ships."""
    sha256 = hashlib.sha256()
    for path in sorted(path for name in CODE for path in (ROOT / name).rglob("*")):
        if path.suffix in CODE_SUFFIXES and path.is_file():
            name = PurePosixPath(path.relative_to(ROOT)).as_posix()
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            sha256.update(f"{name} {content}\n".encode())
    return sha256.hexdigest()


def _node() -> str:
    """Return how the user finds this machine: its address in the cluster, and its name."""
    if "ray" in sys.modules:
        ray: Any = import_module("ray")
        return f"{ray.util.get_node_ip_address()} ({socket.gethostname()})"
    return socket.gethostname()
