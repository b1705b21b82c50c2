"""`lipforge export FORMAT OUT`. Imports nothing heavy until it runs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pipeline.export.run import ExportReport

console = Console(highlight=False, markup=False, soft_wrap=True)
SHOWN = 10
"""Clips that are left out, of each export, printed by name."""


class ExportFormat(StrEnum):
    """The layouts of `pipeline.export.registry`."""

    WAV2LIP = "wav2lip"
    LATENTSYNC = "latentsync"
    MUSETALK = "musetalk"
    KEYSYNC = "keysync"
    HALLO = "hallo"
    FOLDERS = "folders"
    HUGGINGFACE = "huggingface"
    ENERGON = "energon"
    MDS = "mds"
    LITDATA = "litdata"


def export(
    layout: Annotated[ExportFormat, typer.Argument(metavar="FORMAT", help="Whose layout.")],
    out: Annotated[Path, typer.Argument(help="A folder that is not there yet, or is empty.")],
    shards: Annotated[
        str, typer.Option(help="Folder or URL of the shards' index.json.")
    ] = "data/shards",
    split: Annotated[list[str], typer.Option(help="Only this split, repeatable; else all.")] = [],  # noqa: B006 - typer copies it
) -> None:
    """Write finished shards in the layout of another trainer or loader."""
    from pipeline.export.run import export_shards

    _print(out, export_shards(layout.value, out, shards, split, console.print))


def _print(out: Path, report: "ExportReport") -> None:
    for one in report.left_out[:SHOWN]:
        console.print(f"  left out: {one.clip_id} ({one.split}): {one.reason}")
    if len(report.left_out) > SHOWN:
        console.print(f"  and {len(report.left_out) - SHOWN} more, all in {out}/export.json")
    for note in report.notes:
        console.print(f"note: {note}")
    count = f"{report.exported} of {report.clips} clips exported, {len(report.left_out)} left out"
    console.print(f"{out}: {count}")
