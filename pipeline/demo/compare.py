"""A run compared with the demo corpus' ground truth: found, missed and spurious, per stage."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.demo import targets
from pipeline.demo.kept import OFFSET_TOLERANCE_FRAMES, Verdict, judge, kept_intervals
from pipeline.demo.label_scores import measure_labels
from pipeline.demo.matching import Match, match_clips
from pipeline.demo.seconds import MIN_GOOD_FRAMES, measure_seconds
from pipeline.demo.truth import Face, FileTruth, read_truth
from pipeline.engine.cache import Cache, open_cache
from pipeline.params.curation import SelectParams
from pipeline.tables.rows import FPS, Video
from pipeline.tables.run_tables import Record, RunTables

TRANSITION_TOLERANCE_FRAMES = 6
"""A shot may begin this long before or after a transition: `scenes` leaves out a margin."""
CUT_TOLERANCE_FRAMES = 1
MIN_OFFSET_SHARE = 0.8
"""A clip has a true offset when so much of it lies in one good stretch."""


def compare(
    truth: Path, data: Path, cache: Cache | None = None, max_cover: float = SelectParams().max_cover
) -> dict[str, Any]:
    """Compare the tables below `data` with truth.json.

    Args:
        max_cover: `select.max_cover` of the run.

    Returns:
        Shares in 0 to 1 (1 where nothing was to be found and nothing was), counts, seconds,
        `offset_error_frames_mean`, `seconds_by_kind`, and `wrong`, one line for everything that is
        not as it should.

    Raises:
        ManifestError: no truth, or no table of `ingest`.
    """
    every = {one.uri: one for one in read_truth(truth)}
    tables, cache = RunTables(data), cache or open_cache()
    uris = {one.video_id: one.uri for one in tables.rows("ingest", Video)}
    found = {video_id: uri for video_id, uri in uris.items() if uri in every}
    verdicts = {
        uri: [judge(one, every[uri], cache) for one in kept]
        for uri, kept in kept_intervals(tables, found).items()
    }
    wrong: list[str] = []
    files = {uri: one for uri, one in every.items() if targets.counts(one)}
    known = {video_id: uri for video_id, uri in found.items() if uri in files}
    matches = match_clips(tables, known, files, cache)
    metrics = {
        "files": len(every),
        **_cuts(tables, known, files, wrong),
        **_faces(matches, known, files, wrong),
        **_kept(tables, matches, verdicts, files, wrong),
        **_offsets(tables, matches, wrong),
        **_speakers(tables, matches, wrong),
        **_endings(tables, files, known, wrong),
        **measure_labels(tables, matches, known, files, max_cover, wrong),
        **measure_seconds(tables, every, found, verdicts, wrong),
    }
    return {**metrics, "wrong": wrong}


def _cuts(
    tables: RunTables, known: Mapping[str, str], files: Mapping[str, FileTruth], wrong: list[str]
) -> dict[str, Any]:
    found: dict[str, list[int]] = {uri: [] for uri in known.values()}
    for row in tables.kept("scenes"):
        uri = known.get(row["video_id"])
        if row["start_frame"] > 0 and uri and not _in_transition(row["start_frame"], files[uri]):
            found[uri].append(row["start_frame"])
    hits = sum(_paired(files[uri].cuts, cuts) for uri, cuts in found.items())
    true = sum(len(files[uri].cuts) for uri in found)
    for uri, cuts in sorted(found.items()):
        if _paired(files[uri].cuts, cuts) < max(len(cuts), len(files[uri].cuts)):
            wrong.append(f"{uri}: cuts at {sorted(cuts)}, true {list(files[uri].cuts)}")
    return _rates("cuts", hits, sum(map(len, found.values())), true)


def _in_transition(cut: int, film: FileTruth) -> bool:
    near = TRANSITION_TOLERANCE_FRAMES
    return any(start - near <= cut <= end + near for start, end in film.transitions)


def _paired(true: Iterable[int], found: Iterable[int]) -> int:
    """Count true cuts that have a found one of their own within a frame."""
    left = sorted(found)
    hits = 0
    for cut in sorted(true):
        near = [one for one in left if abs(one - cut) <= CUT_TOLERANCE_FRAMES]
        if near:
            left.remove(min(near, key=lambda one: abs(one - cut)))
            hits += 1
    return hits


def _faces(
    matches: Sequence[Match],
    known: Mapping[str, str],
    files: Mapping[str, FileTruth],
    wrong: list[str],
) -> dict[str, Any]:
    """A true face counts as found when a clip shows it; faces nobody could use count not at all."""
    wanted = {
        (uri, face)
        for uri in known.values()
        for face in files[uri].faces
        if face.end_frame - face.start_frame >= MIN_GOOD_FRAMES
    }
    found = {(one.uri, one.face) for one in matches if one.face}
    required = {(uri, face) for uri, face in wanted if files[uri].endings.get("faces")}
    for uri, face in sorted(required - found, key=lambda one: (one[0], one[1].shot)):
        wrong.append(f"{uri}: face of shot {face.shot} not found")
    strangers = [one for one in matches if one.face is None]
    wrong.extend(f"{one.uri}: clip {one.clip['clip_id']} shows no true face" for one in strangers)
    hits = len(required & found)
    return {
        "faces_precision": _share(len(matches) - len(strangers), len(matches)),
        "faces_recall": _share(hits, len(required)),
        "faces_true": len(required),
        "clips": len(matches),
    }


def _kept(
    tables: RunTables,
    matches: Sequence[Match],
    verdicts: Mapping[str, Sequence[Verdict]],
    files: Mapping[str, FileTruth],
    wrong: list[str],
) -> dict[str, Any]:
    """Kept means: a sample in a shard. Recall counts true faces, precision counts samples.

    A sample is right when most of its frames are; how many are not, `measure_seconds` says.
    """
    samples = [(uri, one) for uri in files for one in verdicts.get(uri, ())]
    right = [(uri, one) for uri, one in samples if 2 * len(one.right) > len(one.kept)]
    wrong.extend(
        f"{uri}: clip {one.kept.clip_id} was kept"
        for uri, one in samples
        if (uri, one) not in right
    )
    wanted = {(u, f) for u in verdicts if u in files for f in files[u].faces if _has_good(f)}
    reached = {(uri, one.face) for uri, one in right}
    wrong.extend(_lost_clips(tables, matches, wanted - reached))
    recall = _share(len(wanted & reached), len(wanted))
    precision = _share(len(right), len(samples)) if samples or not wanted else 0.0
    return {
        "kept_precision": precision,
        "kept_recall": recall,
        "kept_f1": _f1(precision, recall),
        "kept_clips": len(samples),
        "kept_true": len(wanted),
    }


def _has_good(face: Face) -> bool:
    return any(len(stretch.frames) >= MIN_GOOD_FRAMES for stretch in face.good)


def _lost_clips(
    tables: RunTables, matches: Sequence[Match], lost: set[tuple[str, Face]]
) -> list[str]:
    """Say of every clip of a face that was lost what became of it."""
    ends = _by_clip(tables, "shards") | {
        clip_id: row for clip_id, row in _by_clip(tables, "select").items() if row["reason"]
    }
    lines = []
    for one in matches:
        if one.face and (one.uri, one.face) in lost:
            why = ends.get(one.clip["clip_id"], {}).get("reason") or "nothing"
            lines.append(f"{one.uri}: clip {one.clip['clip_id']} was rejected for {why}")
    return lines


def _offsets(tables: RunTables, matches: Sequence[Match], wrong: list[str]) -> dict[str, Any]:
    """Errors of the judge on every clip with a true offset, selected or not."""
    scores = _by_clip(tables, "sync")
    errors = []
    for one in matches:
        score, true = scores.get(one.clip["clip_id"]), _true_offset(one)
        if one.face is None or true is None or score is None:
            continue
        said = score["offset_frames"]
        errors.append(abs(said - true))
        if errors[-1] > OFFSET_TOLERANCE_FRAMES:
            wrong.append(f"{one.uri}: shot {one.face.shot}: offset {said:+d}, true {true:+d}")
    within = sum(error <= OFFSET_TOLERANCE_FRAMES for error in errors)
    return {
        "offset_within_1_frame": within / len(errors) if errors else 0.0,
        "offset_error_frames_mean": float(np.mean(errors)) if errors else 0.0,
        "offset_error_ms_mean": float(np.mean(errors)) * 1000 / FPS if errors else 0.0,
        "offset_clips": len(errors),
    }


def _true_offset(one: Match) -> int | None:
    frames = set(range(one.clip["start_frame"], one.clip["end_frame"]))
    for stretch in one.face.good if one.face else ():
        if len(frames & set(stretch.frames)) >= MIN_OFFSET_SHARE * len(frames):
            return stretch.offset_frames
    return None


def _speakers(tables: RunTables, matches: Sequence[Match], wrong: list[str]) -> dict[str, Any]:
    """Tell, for every shot in which faces share one sound, whether `select` found who speaks.

    Right is: every clip of the others is rejected for `not_speaking`, none of the speaker's is.
    Shots of which only one face gave a clip do not count: there was nothing to tell apart.
    """
    decided = _by_clip(tables, "select")
    shots: dict[tuple[str, int], list[Match]] = defaultdict(list)
    for one in matches:
        if one.face:
            shots[one.uri, one.face.shot].append(one)
    shared = {
        shot: clips
        for shot, clips in shots.items()
        if len({c.face for c in clips}) > 1 and any(c.face and c.face.speech_matches for c in clips)
    }
    right = 0
    for (uri, shot), clips in sorted(shared.items()):
        confused = [one for one in clips if not _told_apart(one, decided)]
        right += not confused
        wrong.extend(f"{uri}: shot {shot}: {_said_of(one, decided)}" for one in confused)
    return {"speaker_found": _share(right, len(shared)), "speaker_shots": len(shared)}


def _told_apart(one: Match, decided: Mapping[str, Record]) -> bool:
    speaks = bool(one.face and one.face.speech_matches)
    reason = decided.get(one.clip["clip_id"], {}).get("reason")
    return (reason == "not_speaking") != speaks


def _said_of(one: Match, decided: Mapping[str, Record]) -> str:
    who = "the speaker" if one.face and one.face.speech_matches else "a listener"
    row = decided.get(one.clip["clip_id"], {})
    ending = f"rejected for {row['reason']}" if row.get("reason") else "taken for the speaker"
    return f"{who}, clip {one.clip['clip_id']}, was {ending}"


def _endings(
    tables: RunTables,
    files: Mapping[str, FileTruth],
    known: Mapping[str, str],
    wrong: list[str],
) -> dict[str, Any]:
    """Check every file's ending in the stages that its truth names."""
    names = {uri: video_id for video_id, uri in known.items()}
    checked = right = 0
    for uri, one in sorted(files.items()):
        for stage, expected in one.endings.items():
            item = uri if stage == "ingest" else names.get(uri, "")
            rows = [row for row in tables.records(stage) if row["item_id"] == item]
            checked += 1
            if _ended(rows, expected):
                right += 1
            else:
                wrong.append(f"{uri}: {stage}: {_said(rows)}, expected {_expected(expected)}")
    return {"endings_right": _share(right, checked), "endings_checked": checked}


def _ended(rows: Sequence[Record], expected: Record) -> bool:
    if expected["status"] == "kept":
        return any(row["status"] == "kept" for row in rows)
    reasons = set(expected["reasons"])
    return bool(rows) and all(
        row["status"] == expected["status"] and (not reasons or row["reason"] in reasons)
        for row in rows
    )


def _said(rows: Sequence[Record]) -> str:
    counts = Counter(f"{row['status']} {row['reason']}".strip() for row in rows)
    return ", ".join(sorted(counts)) or "no row"


def _expected(expected: Record) -> str:
    return f"{expected['status']} {' or '.join(expected['reasons'])}".strip()


def _rates(name: str, hits: int, found: int, true: int) -> dict[str, Any]:
    precision, recall = _share(hits, found), _share(hits, true)
    rates = {"precision": precision, "recall": recall, "f1": _f1(precision, recall), "true": true}
    return {f"{name}_{key}": value for key, value in rates.items()}


def _by_clip(tables: RunTables, stage: str) -> dict[str, Record]:
    """Return a row of a stage for every clip of `faces` that it names, kept or not, by clip_id."""
    named = (row for row in tables.records(stage) if row["clip_id"])
    return {row.get("source_clip_id") or row["clip_id"]: row for row in named}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
