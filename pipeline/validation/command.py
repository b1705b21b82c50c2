"""`lipforge validate` and `lipforge migrate`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.atomic import write_json
from pipeline.errors import ManifestError
from pipeline.shard_index.index_file import (
    FORMAT_VERSION,
    INDEX,
    migrated,
    read_index,
    version_of_index,
)
from pipeline.validation.findings import PROPERTIES, Findings
from pipeline.validation.set_checks import SetValidation, ValidationOptions

SHOWN = 50
"""Faults that are printed; `--json` has all."""


def validate(
    shards: Annotated[str, typer.Argument(help="Folder or URL of index.json and its tars.")],
    rescore: Annotated[int, typer.Option(min=0, help="Samples whose offset is measured.")] = 32,
    seed: Annotated[int, typer.Option(help="Which samples these are.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Decode nothing.")] = False,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe: each member must have its digest.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything there.")] = None,
) -> None:
    """Check a finished data set from outside; no film is needed. Exit code 1: a fault."""
    options = ValidationOptions(rescored=rescore, seed=seed, quick=quick, recipe=recipe)
    found = SetValidation(shards.rstrip("/"), options).run()
    Console().print(_table(found))
    for one in found.found[:SHOWN]:
        sys.stdout.write(f"{one.line()}\n")
    if len(found.found) > SHOWN:
        sys.stdout.write(f"... and {len(found.found) - SHOWN} more: --json FILE has all\n")
    if json:
        write_json(json, found.to_json())
    if found.found:
        raise typer.Exit(1)


def migrate(
    shards: Annotated[Path, typer.Argument(help="Folder of index.json.")],
) -> None:
    """Bring the index of older shards to the format of today; tars stay as they are."""
    if not shards.is_dir():
        raise ManifestError(f"{shards}: no folder; migrate a local copy and upload its {INDEX}")
    index = read_index(str(shards))
    version = version_of_index(index)
    if version == FORMAT_VERSION:
        sys.stdout.write(f"{shards / INDEX}: is of format {version} already\n")
        return
    write_json(shards / INDEX, migrated(index))
    sys.stdout.write(f"{shards / INDEX}: from format {version} to {FORMAT_VERSION}\n")


def _table(found: Findings) -> Table:
    table = Table("property", "checked", "faults", "what must hold")
    for name, what in PROPERTIES.items():
        table.add_row(name, str(found.checked[name]), str(found.faults(name)), what)
    return table
