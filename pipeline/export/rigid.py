"""The facts of a clip as one flat row: the same keys and types for every clip, nothing null.

Readers that take their schema from the first samples break on a number that is null in those, a
list that is empty in them, or a float that looks like an int. The sample's whole JSON stands in
`facts`, as text.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.export.contents import ExportSample
from pipeline.export.errors import ExportError

ROW: tuple[tuple[str, type, str], ...] = (
    ("clip_id", str, "clip_id"),
    ("split", str, "split"),
    ("tier", str, "tier"),
    ("group", str, "group"),
    ("num_frames", int, "num_frames"),
    ("fps", int, "fps"),
    ("sample_rate_hz", int, "sample_rate_hz"),
    ("licence", str, "licence"),
    ("speaker", str, "video.speaker"),
    ("language", str, "video.language"),
    ("source_uri", str, "video.uri"),
    ("source_url", str, "video.url"),
    ("source_sha256", str, "video.video_id"),
    ("start_frame", int, "part_start_frame"),
    ("end_frame", int, "part_end_frame"),
    ("offset_applied_frames", float, "offset_applied_frames"),
    ("drift_applied_frames", float, "drift_applied_frames"),
    ("crop_px", int, "clip.crop_px"),
    ("face_px", float, "clip.face_px"),
    ("judge", str, "rescored.judge"),
    ("judge_confidence", float, "rescored.confidence"),
    ("offset_left_frames", float, "rescored.offset_subframe"),
    ("speech_share", float, "quality.speech_share"),
    ("snr_db", float, "quality.snr_db"),
    ("sharpness", float, "quality.sharpness"),
    ("yaw_deg", float, "quality.yaw_deg"),
    ("pitch_deg", float, "quality.pitch_deg"),
    ("roll_deg", float, "quality.roll_deg"),
)
"""(name, type, path in the sample's JSON)."""
LATER = {"tier"}
"""Texts that older shards do not have: empty there."""
FACTS = "facts"
COLUMNS = (*(name for name, _, _ in ROW), FACTS)


def rigid_row(sample: ExportSample) -> dict[str, str | int | float]:
    """Return the row of a clip, in the order of `COLUMNS`.

    Raises:
        ExportError: a fact is missing, null or of another type.
    """
    row: dict[str, str | int | float] = {
        name: _fact(sample, path, kind) for name, kind, path in ROW
    }
    row[FACTS] = sample.members["json"].decode("utf-8")
    return row


def _fact(sample: ExportSample, path: str, kind: type) -> str | int | float:
    value: Any = sample.facts
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None and path in LATER:
        return ""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind and isinstance(value, str | int | float):
        return value
    where = f"{sample.entry.shard}/{sample.entry.clip_id}.json"
    raise ExportError(f"{where}: {path} is {value!r}, no {kind.__name__}; shards of another make?")
