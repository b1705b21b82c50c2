"""Stretches of film that were rejected before a clip was cut: there is no crop of them to play."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.report.reported_clips import source_names
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import Record, RunTables

_LOST = {
    "damaged_frames": "torn",
    "held_frames": "standing",
    "interpolated_frames": "without the face",
}


@dataclass(frozen=True, slots=True)
class Uncut:
    """One stretch with its reason and what is known of it."""

    clip_id: str
    """A name for the order; no clip has it."""
    video_id: str
    uri: str
    start_s: float
    end_s: float
    reason: str
    detail: str
    known: str


def uncut(tables: RunTables) -> list[Uncut]:
    """Return the stretches that `scenes` and `faces` rejected, in no special order."""
    uris = source_names(tables)
    rows = [*tables.records("scenes"), *tables.records("faces")]
    found = (row for row in rows if row["status"] == "rejected")
    return [_uncut(row, uris) for row in found if row["start_frame"] is not None]


def _uncut(row: Record, uris: Mapping[str, str]) -> Uncut:
    start, end = row["start_frame"], row["end_frame"]
    return Uncut(
        clip_id=f"{row['video_id']}|{start}|{end}|{row.get('clip_id')}",
        video_id=row["video_id"],
        uri=uris.get(row["video_id"], row["video_id"]),
        start_s=start / FPS,
        end_s=end / FPS,
        reason=row["reason"],
        detail=row["detail"],
        known=_known(row),
    )


def _known(row: Record) -> str:
    """Say what was measured: the face's size, and how many frames are lost for what."""
    if not row.get("face_px"):
        return "no face was sought in it" if "face_px" not in row else "no face"
    lost = [f"{_frames(row[key])} {words}" for key, words in _LOST.items() if row.get(key)]
    return ", ".join([f"a face of {row['face_px']:.0f} px", *lost])


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"
