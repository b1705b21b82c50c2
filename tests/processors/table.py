"""`python -m tests.processors.table FILM FOLDER`: operation x processor class, as Markdown."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.processors.classes import CLASSES, built, run_as


def results(film: Path, folder: Path, names: list[str]) -> dict[str, dict[str, NDArray[Any]]]:
    """Run all operations as each class, on inputs of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    library, found = built(folder), {}
    for number, name in enumerate(names):
        out = folder / f"{number}.npz"
        arguments: list[str | Path] = [
            "-m",
            "tests.processors.operations",
            film,
            folder / "inputs.npz",
            out,
        ]
        run_as(name, library, arguments)
        found[name] = dict(np.load(out))
    return found


def difference(one: NDArray[Any], other: NDArray[Any]) -> str:
    """Return `=` for equal bytes, else the largest difference."""
    if one.tobytes() == other.tobytes():
        return "="
    if one.shape != other.shape:
        return "shape"
    return f"{np.nanmax(np.abs(one.astype(float) - other.astype(float))):.1g}"


if __name__ == "__main__":
    found = results(Path(sys.argv[1]), Path(sys.argv[2]), list(CLASSES))
    first, *others = found
    sys.stdout.write(
        "| operation | " + " | ".join(others) + " |\n" + "|---" * (len(others) + 1) + "|\n"
    )
    for name, value in found[first].items():
        row = " | ".join(difference(value, found[other][name]) for other in others)
        sys.stdout.write(f"| {name} | {row} |\n")
