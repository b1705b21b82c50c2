"""Every part of a clip with its measurements and its final status, joined from the tables; failed
items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.engine.outcome import STATUSES
from pipeline.tables.rows import FPS
from pipeline.tables.run_tables import TABLES, Record, RunTables

Ending = Literal["accepted", "rejected", "undecided"]

NOT_SELECTED = "not_selected"
"""Reason shown for a clip that `select` has not seen: the run stopped before."""

_ENDING = ("item_id", "status", "reason", "detail")
_CLIP = ("clip_id", "video_id", "start_frame", "end_frame", "num_frames", "artifact", "face_px")
_CROP = ("crop_px", "landmark_schema")
_LOST = ("damaged_frames", "held_frames", "interpolated_frames")
_SCORE = ("judge", "mode", "fallback", "offset_frames", "probability", "confidence")
COLUMNS = {
    "scenes": (*_ENDING, "video_id", "start_frame", "end_frame"),
    "faces": (*_ENDING, *_CLIP, *_CROP, "landmark_score", *_LOST),
    "sync": (*_ENDING, *_SCORE, "min_distance", "drift_frames"),
    "stretches": _ENDING,
    "quality": (
        *_ENDING,
        "face_px",
        "sharpness",
        "yaw_deg",
        "pitch_deg",
        "jitter",
        "frozen_share",
        "mouth_movement",
        "landmark_score",
        "speech_share",
        "snr_db",
    ),
    "select": (
        *_ENDING,
        "clip_id",
        "split",
        "start_frame",
        "end_frame",
        "offset_frames",
        "drift_frames",
        "probability",
    ),
    "shards": _ENDING,
}
"""Stage -> what the page needs of every clip. Not the series per frame, and curves only of the
clips that it shows: they would be nineteen twentieths of the memory."""


@dataclass(frozen=True, slots=True)
class ReportedClip:
    """A clip, or a part of one, with its table rows; a measurement that is missing is None.

    Measurements are those of the whole clip, but for offset, drift and probability.
    """

    clip_id: str
    """Of the whole clip."""
    first_frame: int
    """Of the part, counted from the clip's first frame."""
    video_id: str
    uri: str
    ending: Ending
    reason: str
    detail: str
    split: str
    clip: Record
    """The row of `faces`, with the frames of the part."""
    clip_frames: int
    """Of the whole clip."""
    part: Record | None
    """The row of `select`; None for a clip that was not cut, or not judged as a part."""
    sync: Record | None
    quality: Record | None

    @property
    def seconds(self) -> float:
        """Length of the part."""
        return float(self.clip["num_frames"]) / FPS

    def value(self, name: str) -> float | None:
        """Return a measurement by the name of its column, None where it was not made."""
        if name == "duration_s":
            return self.seconds
        part = self.part if self.ending == "accepted" else None
        for row in (part, self.sync, self.quality, self.clip):
            if row is not None and row.get(name) is not None:
                return float(row[name])
        return None


def reported_clips(tables: RunTables) -> list[ReportedClip]:
    """Return every part of every clip that `faces` made, sorted by source and place in it."""
    uris = source_names(tables)
    by_id = {s: {row["item_id"]: row for row in tables.records(s)} for s in ("sync", "quality")}
    packed = {row["item_id"]: row for row in tables.records("shards")}
    parts: dict[str, list[Record | None]] = {}
    for row in tables.records("select"):
        parts.setdefault(row["item_id"], []).append(row)
    clips = [
        _join(row, uris, by_id, part, packed.get(part["clip_id"]) if part else None)
        for row in tables.kept("faces")
        for part in parts.get(row["clip_id"], [None])
    ]
    return sorted(clips, key=lambda c: (c.uri, c.clip["start_frame"], c.clip_id))


def with_curves(clips: Sequence[ReportedClip], tables: RunTables) -> list[ReportedClip]:
    """Return the clips with their whole row of `sync`, of which only narrow ones were read."""
    rows = {row["item_id"]: row for row in tables.of_items("sync", {c.clip_id for c in clips})}
    return [replace(c, sync=rows[c.clip_id]) if c.sync else c for c in clips]


def failures(tables: RunTables) -> list[dict[str, str]]:
    """Return every failed or quarantined item: stage, item (its source where known), error."""
    uris = source_names(tables)
    uris |= {row["clip_id"]: uris.get(row["video_id"], "") for row in tables.kept("faces")}
    return [
        {
            "stage": stage,
            "item": row["item_id"],
            "source": uris.get(row["item_id"], ""),
            "status": row["status"],
            "reason": row["reason"],
            "detail": row["detail"],
        }
        for stage in TABLES
        for row in tables.records(stage)
        if row["status"] in STATUSES[2:]
    ]


def source_names(tables: RunTables) -> dict[str, str]:
    """Return video_id -> uri, the first file of each content."""
    found: dict[str, str] = {}
    for row in tables.records("ingest"):
        if row.get("video_id"):
            found.setdefault(row["video_id"], row["uri"])
    return found


def _join(
    row: Record,
    uris: Mapping[str, str],
    by_id: Mapping[str, Mapping[str, Record]],
    selected: Record | None,
    packed: Record | None,
) -> ReportedClip:
    clip_id = row["clip_id"]
    ending, last = _ending(selected, packed)
    start, end = _frames(row, selected)
    return ReportedClip(
        clip_id=clip_id,
        first_frame=start - row["start_frame"],
        video_id=row["video_id"],
        uri=uris.get(row["video_id"], row["video_id"]),
        ending=ending,
        reason=(last["reason"] if last else NOT_SELECTED) if ending != "accepted" else "",
        detail=(last["detail"] if last else "") if ending != "accepted" else "",
        split=str((selected or {}).get("split") or ""),
        clip={**row, "start_frame": start, "end_frame": end, "num_frames": end - start},
        clip_frames=row["num_frames"],
        part=selected,
        sync=_measured(by_id["sync"].get(clip_id)),
        quality=_measured(by_id["quality"].get(clip_id)),
    )


def _frames(row: Record, selected: Record | None) -> tuple[int, int]:
    """Return the frames of the part, those of the whole clip where `select` names none."""
    if selected is None or selected["start_frame"] is None:
        return row["start_frame"], row["end_frame"]
    return selected["start_frame"], selected["end_frame"]


def _ending(selected: Record | None, packed: Record | None) -> tuple[Ending, Record | None]:
    """Return the ending and the row that decided it: `shards` overrides `select`."""
    if selected is None:
        return "undecided", None
    if selected["status"] != "kept":
        return "rejected", selected
    if packed is not None and packed["status"] != "kept":
        return "rejected", packed
    return "accepted", None


def _measured(row: Record | None) -> Record | None:
    return row if row is not None and row["status"] == "kept" else None
