"""`lipforge recipe` and `lipforge rehydrate`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA
from pipeline.params.curation import load_params
from pipeline.recipe.record import Recipe
from pipeline.recipe.rehydrate import REPORT, Rehydrated, differences_here, rehydrate_into
from pipeline.recipe.writing import recipe_of_run

SHOWN = 20
"""Lines of each kind that are printed; the report has all."""


def recipe(
    file: Annotated[Path, typer.Argument(help="Where it goes: recipe.jsonl.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Of silent and listening clips.")] = False,
) -> None:
    """Write what may be published of the shards: spans, matrices, offsets, scores, digests."""
    count = recipe_of_run(file, DATA, load_params().faces, open_cache(), quiet)
    sys.stdout.write(f"{file}: {count} samples\n")


def rehydrate(
    file: Annotated[Path, typer.Argument(help="A recipe.")],
    videos: Annotated[str, typer.Option(help="Folder, glob, list or URL of the films.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards.")],
) -> None:
    """Rebuild the shards of a recipe from copies of the films; say what is missing or differs."""
    opened = Recipe.open(file)
    for line in differences_here(opened.header):
        sys.stderr.write(f"warning: {line}: bytes may differ\n")
    result = rehydrate_into(opened, videos, out)
    sys.stdout.write("".join(f"{line}\n" for line in said(result)))
    sys.stdout.write(f"{out / REPORT}\n")
    if not result.whole:
        raise typer.Exit(1)


def said(result: Rehydrated) -> list[str]:
    """Return what is printed: counts, then what is not identical."""
    counts = ", ".join(f"{result.count(one)} {one}" for one in ("identical", "differs", "missing"))
    lines = [f"{len(result.samples)} samples: {counts}"]
    found = result.to_json()
    missing = [
        f"missing: film {one['sha256'][:12]} {one['url'] or one['uri']}"
        + (_namesake(result, one["sha256"]))
        for one in found["missing_films"]
    ]
    differing = [f"differs: sample {name}: {why}" for name, why in found["differing"].items()]
    tars = [
        f"differs: {name}: all its samples are identical, the tar is not"
        for name in result.tars_differ
    ]
    for some in (missing, differing, tars):
        lines += some[:SHOWN]
        lines += [f"... and {len(some) - SHOWN} more"] if len(some) > SHOWN else []
    return lines


def _namesake(result: Rehydrated, video_id: str) -> str:
    name = result.namesakes.get(video_id)
    return f" ({name} has its name and other bytes)" if name else ""
