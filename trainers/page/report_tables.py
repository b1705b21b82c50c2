"""Metrics, frozen networks and profiles as table rows; finds every stand-in among them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from pipeline.html.words import number

MOST_ROWS = 60
"""Of one table of metrics; metrics.json holds the rest."""
MEANINGS = {
    "accuracy": "share of pairs on their side of a cosine of 0.5; chance is 0.5",
    "accuracy_of_worst_clip": "the same on the clip it knows least about",
    "auc": "how well the cosine sorts pairs; chance is 0.5",
    "loss": "binary cross-entropy; 0.693 knows nothing",
    "lse_c": "SyncNet's confidence, more is better",
    "lse_d": "SyncNet's distance, less is better",
    "landmark_probability": "that the offset found is right within a frame",
    "landmark_confidence": "of the landmark judge: no LSE-C",
    "landmark_offset_within_1": "share of clips whose offset is at most one frame",
    "landmark_abs_offset_frames": "size of the offset that the landmark judge finds",
    "landmark_min_distance": "of the landmark judge, less is surer",
    "judged": "share of clips on which the judge could tell",
    "stable_syncnet_cosine": "of this run's StableSyncNet, more is better",
    "ssim": "structural similarity, 1 is equal",
    "ssim_lower_half": "the same where the mouth is",
    "psnr_db": "peak signal to noise, more is closer",
    "psnr_lower_half_db": "the same where the mouth is",
    "lmd_px": "distance of mouth landmarks, less is closer",
    "lmd_mouth_widths": "distance of mouth landmarks in mouth widths, less is closer",
    "mouth_open_share": "share of frames; with silence it should be 0",
    "mouth_closed_share": "share of frames; with silence it should be 1",
    "opening_leak_r": "mouth under silence with the picture's own mouth; should be 0",
    "opening_amplitude": "movement under silence over that of the real film; should be 0",
    "temporal.foreign_roughness": "foreign sound: second differences in time over the real film's",
    "temporal.foreign_seam_roughness": "the same where two windows meet",
    "temporal.own_roughness": "second differences in time over the real film's; 1 is right",
    "temporal.own_seam_roughness": "the same where two windows meet",
    "face_share": "share of frames with a face",
    "size_px": "edge of the aligned faces",
    "fid.value": "Fréchet distance of pictures, less is closer",
    "fvd_videomae.value": "Fréchet distance of videos, less is closer; not comparable with I3D's",
}
"""What well-known names mean; the page shows others without."""

FIRST_COLUMNS = ("real", "real_foreign", "own", "foreign")
"""Versions of a clip in this order; others after them."""

Value = str | float | int | bool | None


@dataclass(frozen=True, slots=True)
class TableCell:
    """A value as text, and whether it names a stand-in."""

    text: str
    stand_in: bool = False
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class TableRow:
    """One number under its name, once per column."""

    name: str
    meaning: str
    cells: tuple[TableCell, ...]
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A part of the metrics."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    total: int
    """Rows, of which at most `MOST_ROWS` are here."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter of a profile."""

    key: str
    value: str
    default: bool
    stand_in: bool


def metric_tables(content: Mapping[str, Any]) -> list[ReportTable]:
    """Return nested metrics as tables: per group one of single values, one of versions compared."""
    groups = {name: value for name, value in content.items() if isinstance(value, Mapping)}
    single = {name: value for name, value in content.items() if name not in groups}
    found = [_single("", single)] if single else []
    for title, group in groups.items():
        compared = _compared(group)
        rest = {name: value for name, value in group.items() if name not in compared}
        found += [_beside(title, compared)] if compared else []
        found += [_single(title, dict(_flat(rest)))] if rest else []
    return found


def is_stand_in(text: str) -> bool:
    """Return whether a name says that random weights stand in for a network."""
    return "stand-in" in text or "stand_in" in text


def stand_ins(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (where, name) of every stand-in in nested values."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from stand_ins(value, f"{path}.{key}" if path else str(key))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from stand_ins(value, path)
    elif isinstance(content, str) and is_stand_in(content):
        yield path, content


def profile_settings(profile: BaseModel) -> list[Setting]:
    """Return every number of a profile, and whether it is the default of its kind."""
    used, default = profile.model_dump(), type(profile)().model_dump()
    return [
        Setting(key, str(value), value == known, isinstance(value, str) and is_stand_in(value))
        for (key, value), (_, known) in zip(_flat(used), _flat(default), strict=True)
    ]


def flat_rows(content: Mapping[str, Any], leave_out: Sequence[str] = ()) -> list[TableRow]:
    """Return nested facts as rows named `a.b`, without the sections in `leave_out`."""
    kept = {key: value for key, value in content.items() if key not in leave_out}
    return [_row(key, (value,)) for key, value in _flat(kept)]


def _compared(group: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
    """Return the members that measure the same: those that share two numbers with another one."""
    flat = {name: dict(_flat(one)) for name, one in group.items() if isinstance(one, Mapping)}
    ordered = sorted(flat, key=lambda name: (_place(name), name))
    return {
        name: flat[name]
        for name in ordered
        if any(len(_shared(flat[name], other)) > 1 for key, other in flat.items() if key != name)
    }


def _place(name: str) -> int:
    return FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else len(FIRST_COLUMNS)


def _shared(one: Mapping[str, Value], other: Mapping[str, Value]) -> set[str]:
    both = {name for name in one if name in other}
    return {name for name in both if _is_number(one[name]) and _is_number(other[name])}


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _single(title: str, values: Mapping[str, Value]) -> ReportTable:
    rows = [_row(name, (value,)) for name, value in values.items()]
    return ReportTable(title, ("value",), tuple(rows[:MOST_ROWS]), len(rows))


def _beside(title: str, groups: Mapping[str, Mapping[str, Value]]) -> ReportTable:
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    rows = [_row(name, tuple(group.get(name) for group in groups.values())) for name in names]
    return ReportTable(title, tuple(groups), tuple(rows[:MOST_ROWS]), len(rows))


def _row(name: str, values: Sequence[Value]) -> TableRow:
    return TableRow(name, MEANINGS.get(name, ""), tuple(map(table_cell, values)), is_stand_in(name))


def table_cell(value: Value) -> TableCell:
    """Return a value as the page writes it; a dash for none."""
    if isinstance(value, float):
        return TableCell(number(value), numeric=True)
    if value is None or _is_number(value):
        return TableCell("\N{EN DASH}" if value is None else str(value), numeric=True)
    return TableCell(str(value) or "none", is_stand_in(str(value)))


def _flat(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else value
