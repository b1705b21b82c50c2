"""The section "Listening" of the training report: what the made mouths follow, and their curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.html.words import number
from trainers.page.charts import Chart, ChartSpec, Rows, drawn_charts
from trainers.page.report_tables import ReportTable, TableCell, TableRow

MEANINGS = {
    "own_r": "mouth made with the clip's own sound, with the true mouth",
    "foreign_r": "mouth made with foreign sound, with the film of that sound",
    "leak_r": "the same dub, with the mouth of its own picture: should be chance_r",
    "chance_r": "mouths of two real films that have nothing to do with each other",
    "amplitude": "movement with foreign sound over that in the film of that sound; 1 is right",
    "own_amplitude": "the same with its own sound",
    "lsd_ar": "how much SyncNet's scores depend on which sound drives; less is better",
    "lsd_cr": "the same with the replaced mouths as reference",
    "reader_r": "ceiling: the reader of all these mouths, on real films",
    "vae_r": "ceiling: real films behind the model's autoencoder",
    "regression_r": "ceiling of a small model: mouth from the sound alone, kernel ridge regression",
    "ridge_r": "the same, linear",
    "kept_pixels_r": "leak of the data: mouth from the pixels that the model keeps",
    "geometry_r": "leak of the data: mouth from crop matrix and eye positions",
    "geometry_r2": "the same as a share of explained variance",
}
"""Names of `ldm.listening` in the order of the table."""
SOUNDS = {"own": "own sound", "foreign": "foreign sound"}
MOST_CLIPS = 3
MISSING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class ListeningSection:
    """Numbers and curves."""

    table: ReportTable
    charts: tuple[Chart, ...]
    foreign: str
    """`foreign_r` as text."""
    note: str
    """What it has to be compared with."""


def listening_section(
    metrics: Mapping[str, Any] | None, openings: Mapping[str, Any] | None
) -> ListeningSection | None:
    """Return the section; None if the evaluation has not measured it.

    Args:
        metrics: content of metrics.json.
        openings: content of samples/openings.json.
    """
    found = ((metrics or {}).get("ldm") or {}).get("listening")
    if not found:
        return None
    return ListeningSection(
        _table(found), opening_charts(openings or {}), _text(found, "foreign_r"), _note(found)
    )


def without_listening(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics without the part that this section shows."""
    ldm = {name: one for name, one in metrics.get("ldm", {}).items() if name != "listening"}
    return {**metrics, "ldm": ldm} if "ldm" in metrics else dict(metrics)


def opening_charts(openings: Mapping[str, Any]) -> tuple[Chart, ...]:
    """Return a chart per clip and sound: the true and the made opening over the frames."""
    charts: list[Chart] = []
    for clip, curves in list(openings.items())[:MOST_CLIPS]:
        for sound, words in SOUNDS.items():
            if f"{sound}_made" in curves:
                charts += _chart(f"{clip}, {words}", curves, sound)
    return tuple(charts)


def _note(found: Mapping[str, Any]) -> str:
    leak, chance = (_text(found, name) for name in ("leak_r", "chance_r"))
    return f"foreign_r; leak_r {leak}, chance {chance}"


def _chart(title: str, curves: Mapping[str, Any], sound: str) -> list[Chart]:
    pairs = zip(curves[f"{sound}_true"], curves[f"{sound}_made"], strict=True)
    rows: Rows = [
        {"step": float(frame), "true": true, "made": made}
        for frame, (true, made) in enumerate(pairs)
    ]
    told = "opening in distances of the eyes, relative to its mean, over frames"
    return drawn_charts(rows, [ChartSpec(title, told, ("true", "made"), over="frames")])


def _table(found: Mapping[str, Any]) -> ReportTable:
    spread = found.get("spread") or {}
    rows = [
        TableRow(
            name,
            meaning,
            tuple(TableCell(_text(one, name), numeric=True) for one in (found, spread)),
        )
        for name, meaning in MEANINGS.items()
        if name in found
    ]
    columns = ("mean over clips", "deviation")
    return ReportTable("", columns, tuple(rows), len(rows))


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return number(float(value)) if isinstance(value, int | float) else MISSING
