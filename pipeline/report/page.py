"""The contents of the report, section by section, and its rendering."""

import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.engine.outcome import STATUSES
from pipeline.html import words
from pipeline.html.drawing import HEIGHT, WIDTH, Histogram
from pipeline.html.templates import html_environment
from pipeline.html.words import number
from pipeline.judge.landmark.calibration import CurvePoint
from pipeline.params.curation import Params
from pipeline.player.on_page import MEGABYTE, PageRoom, script
from pipeline.player.timeline import HEIGHT as LANE_HEIGHT
from pipeline.quality import speech
from pipeline.remote import public_url
from pipeline.report import wording
from pipeline.report.histogram import histogram, measures
from pipeline.report.judge_section import judge_section
from pipeline.report.leak_section import leak_section
from pipeline.report.reported_clips import ReportedClip, failures, with_curves
from pipeline.report.shown_clips import (
    CURVE_HEIGHT,
    CURVE_WIDTH,
    Details,
    OpenArtifact,
    ShownClip,
    choose_clips,
    show_clip,
)
from pipeline.report.uncut import uncut
from pipeline.tables.people_facts import read_people
from pipeline.tables.printable import visible, visible_lines
from pipeline.tables.run_tables import RunTables
from pipeline.tables.tier_facts import tiers_of_run
from pipeline.weights.files import list_weights

PACKAGES = (
    "lipforge",
    "numpy",
    "av",
    "opencv-python",
    "scipy",
    "scenedetect",
    "decord",
    "ai-edge-litert",
    "insightface",
    "onnxruntime",
    "silero-vad",
    "torch",
    "webdataset",
    "pyarrow",
    "ray",
    "dvc",
)
MOST_FAILURES = 200
MOST_SOURCES = 1000
"""Rows that the page shows; the tables hold the rest. Keeps 10,000 clips under 5 MB."""

SCORES = (
    ("offset_frames", "offset", ""),
    ("probability", "probability", ""),
    ("confidence", "confidence", ""),
    ("min_distance", "distance", ""),
    ("drift_frames", "drift", ""),
    ("face_px", "face", " px"),
    ("sharpness", "sharpness", ""),
    ("yaw_deg", "yaw", "°"),
    ("pitch_deg", "pitch", "°"),
    ("mouth_movement", "mouth", ""),
    ("speech_share", "speech", ""),
    ("snr_db", "SNR", " dB"),
    ("frozen_share", "frozen", ""),
)
"""Column, label and unit of the numbers under a clip."""


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """All that the page is made from."""

    tables: RunTables
    clips: Sequence[ReportedClip]
    funnel: Mapping[str, Any]
    params: Params
    open_artifact: OpenArtifact
    measured: Sequence[CurvePoint] = ()
    """What thresholds of the landmark judge cost; drawn beside this run's probabilities."""


def render(inputs: ReportInputs) -> str:
    """Return the page: one HTML document without link or network, its films and script inside."""
    environment = html_environment("pipeline.report", "pipeline.player")
    environment.filters |= {
        "visible": visible,
        "visible_lines": visible_lines,
        "duration": words.duration,
        "count": words.count,
        "number": number,
    }
    return environment.get_template("report.html.j2").render(_context(inputs))


def _context(inputs: ReportInputs) -> dict[str, Any]:
    failed = failures(inputs.tables)
    return {
        "totals": _totals(inputs),
        "funnel": [_funnel_line(line) for line in inputs.funnel["stages"]],
        "reasons": _reasons(inputs.funnel["stages"]),
        "judging": judge_section(
            inputs.tables, inputs.clips, inputs.params.select, inputs.measured
        ),
        "leaking": leak_section(inputs.clips, inputs.open_artifact),
        "histograms": _histograms(inputs),
        "drawing": {"width": WIDTH, "height": HEIGHT},
        "curve": {"width": CURVE_WIDTH, "height": CURVE_HEIGHT},
        "scores": SCORES,
        "strips": _strips(inputs),
        "uncut": _uncut(inputs),
        "script": script(),
        "clips_mb": inputs.params.report.clips_mb,
        "lane_height": LANE_HEIGHT,
        "failures": failed[:MOST_FAILURES],
        "num_failures": len(failed),
        **_sources(inputs),
        "versions": _versions(),
        "params": _params(inputs.params),
        "weights": _weights(),
        "people": read_people(inputs.tables.data),
        "tiers": tiers_of_run(inputs.tables),
        "meaning": wording.REASONS,
        "share": words.share,
    }


def _totals(inputs: ReportInputs) -> dict[str, Any]:
    endings = Counter(clip.ending for clip in inputs.clips)
    accepted = [clip for clip in inputs.clips if clip.ending == "accepted"]
    videos = inputs.tables.kept("ingest")
    return {
        "files": inputs.funnel["sources"],
        "videos": len(videos),
        "video_seconds": sum(row["duration_s"] for row in videos),
        "clips": len(inputs.clips),
        "accepted": endings["accepted"],
        "rejected": endings["rejected"],
        "undecided": endings["undecided"],
        "clip_seconds": sum(clip.seconds for clip in inputs.clips),
        "accepted_seconds": sum(clip.seconds for clip in accepted),
        "splits": sorted(Counter(clip.split for clip in accepted).items()),
    }


def _funnel_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stage's counts and the widths of its bar in percent."""
    total = line["in"]
    widths = {s: round(100 * line[s] / total, 2) if total else 0 for s in STATUSES}
    return {**line, "what": wording.STAGES.get(line["stage"], ""), "widths": widths}


def _reasons(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry per stage, ending and reason, commonest first inside a stage."""
    found = []
    for line in lines:
        entries = [
            {"stage": line["stage"], "ending": ending, "reason": reason, "count": times}
            for ending, reasons in line["reasons"].items()
            for reason, times in reasons.items()
        ]
        found += sorted(entries, key=lambda one: (-one["count"], one["ending"], one["reason"]))
    most = max((entry["count"] for entry in found), default=1)
    return [{**e, "width": round(100 * e["count"] / most, 1)} for e in found]


def _histograms(inputs: ReportInputs) -> list[Histogram]:
    return [histogram(one, inputs.clips) for one in measures(inputs.params.select)]


def _strips(inputs: ReportInputs) -> list[dict[str, Any]]:
    section = inputs.params.report
    groups = [
        ("accepted", "Accepted clips", section.accepted_strips, lambda clip: clip.video_id),
        ("rejected", _rest_title(inputs.clips), section.rejected_strips, lambda clip: clip.reason),
    ]
    found, left = [], section.clips_mb
    for done, (ending, title, limit, by) in enumerate(groups):
        clips = [
            clip for clip in inputs.clips if (clip.ending == "accepted") == (ending == "accepted")
        ]
        room = PageRoom(left / (len(groups) - done))
        strips = _ready(inputs, choose_clips(clips, by, limit), room)
        left -= sum(len(one.film.uri) for one in strips if one.film) / MEGABYTE
        group = {"ending": ending, "title": title, "of": len(clips), "refused": room.refused}
        found.append({**group, "strips": strips})
    return found


def _ready(inputs: ReportInputs, chosen: Sequence[ReportedClip], room: PageRoom) -> list[ShownClip]:
    details = Details.of(chosen, inputs.clips, inputs.tables)
    return [
        show_clip(clip, details, inputs.open_artifact, room, inputs.params.select)
        for clip in with_curves(chosen, inputs.tables)
    ]


def _uncut(inputs: ReportInputs) -> dict[str, Any]:
    found = uncut(inputs.tables)
    shown = choose_clips(found, lambda one: one.reason, inputs.params.report.rejected_strips)
    return {"of": len(found), "rows": shown}


def _rest_title(clips: Iterable[ReportedClip]) -> str:
    undecided = any(clip.ending == "undecided" for clip in clips)
    return "Rejected and undecided clips" if undecided else "Rejected clips"


def _sources(inputs: ReportInputs) -> dict[str, Any]:
    """Return one entry per file in the order of their names, up to a limit."""
    by_video: dict[str, list[ReportedClip]] = defaultdict(list)
    for clip in inputs.clips:
        by_video[clip.video_id].append(clip)
    shots = Counter(row["video_id"] for row in inputs.tables.kept("scenes"))
    stopped = _stopped(inputs.tables)
    rows = sorted(inputs.tables.records("ingest"), key=lambda row: str(row["item_id"]))
    entries = [_source(row, by_video, shots, stopped) for row in rows[:MOST_SOURCES]]
    return {"sources": entries, "num_sources": len(rows)}


def _source(
    row: Mapping[str, Any],
    by_video: Mapping[str, Sequence[ReportedClip]],
    shots: Mapping[str, int],
    stopped: Mapping[str, str],
) -> dict[str, Any]:
    is_video = row["status"] == "kept"
    clips = by_video.get(row["video_id"], ()) if is_video else ()
    rejected = Counter(clip.reason for clip in clips if clip.ending != "accepted")
    return {
        "row": row,
        "shots": shots.get(row["video_id"], 0) if is_video else 0,
        "clips": len(clips),
        "accepted": sum(clip.ending == "accepted" for clip in clips),
        "rejected": sorted(rejected.items()),
        "end": stopped.get(row["video_id"], "") if is_video else row["reason"],
    }


def _stopped(tables: RunTables) -> dict[str, str]:
    """Return video_id -> reason for videos that gave no row at all in scenes or faces."""
    found: dict[str, str] = {}
    for stage in ("scenes", "faces"):
        going_on = {row["item_id"] for row in tables.kept(stage)}
        for row in tables.records(stage):
            if row["item_id"] not in going_on:
                found.setdefault(row["item_id"], row["reason"])
    return found


def _versions() -> list[tuple[str, str]]:
    found = [("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return found


def _params(params: Params) -> list[dict[str, Any]]:
    """Return every parameter with its value and whether it is the default."""
    used, default = params.model_dump(), Params().model_dump()
    return [
        {
            "key": f"{section}.{key}",
            "value": _shown(value),
            "default": value == default[section][key],
        }
        for section, values in used.items()
        for key, value in values.items()
    ]


def _shown(value: object) -> str:
    """Return a value as text, an address without its signature."""
    return public_url(str(value)) if "://" in str(value) else str(value)


def _weights() -> list[tuple[str, str]]:
    locked = [(entry.name, entry.sha256) for entry in list_weights()]
    return sorted([*locked, (speech.WEIGHTS, speech.weights_digest())])
