"""clips + sync + quality -> select: the only thresholds, and the split."""

import csv
import hashlib
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from pipeline.atomic import write_json, write_text
from pipeline.engine.command import DATA, run_main
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.identity.persons import SeenClip
from pipeline.params.curation import SelectParams, load_params
from pipeline.selection.active_speaker import ScoredClip, non_speakers
from pipeline.selection.decision import Decision, Score
from pipeline.selection.people import divide
from pipeline.selection.rules import Candidate, decide_each, split_of
from pipeline.tables.funnel import funnel
from pipeline.tables.people_facts import People, write_people
from pipeline.tables.rows import BASE, FPS, HQ, QUIET_TIERS, Selected, counted_tiers
from pipeline.tables.run_tables import ClipJoin, RunTables, table_path

REPORTS = Path("reports")
UP_TO_HERE = ("ingest", "scenes", "faces", "sync", "stretches", "quality", "select")


def decided(tables: RunTables, params: SelectParams) -> tuple[list[Decision], People]:
    """Decide on every clip; one clip's measurements are in memory at a time, and embeddings."""
    join = ClipJoin(tables)
    scored = (
        ScoredClip(clip, score)
        for clip in join.clips
        if (score := join.scores.get(clip.clip_id)) is not None
    )
    not_speaking = non_speakers(scored, params)
    seen: list[SeenClip] = []
    judged = decide_each(_candidates(join, seen), not_speaking, params)
    return judged, divide(judged, seen, params)


def _candidates(join: ClipJoin, seen: list[SeenClip]) -> Iterator[Candidate]:
    """Yield every clip with its measurements; what identifies its person goes into `seen`."""
    for one in join.in_order():
        if one.quality is not None:
            quality = one.quality
            embeddings = quality.face_embedding, quality.voice_embedding
            seen.append(SeenClip.of(one.clip.clip_id, *embeddings))
        yield Candidate(one.video, one.clip, one.sync, one.quality, one.stretches)


def outcomes(judged: Iterable[Decision], params: SelectParams) -> Iterator[Outcome]:
    """Turn the decisions into one outcome per clip, with one table row per part."""
    for clip_id, parts in groupby(judged, key=lambda one: one.clip_id):
        rows = tuple(_part(one, params) for one in parts)
        kept = any(row.status == "kept" for row in rows)
        yield Outcome(clip_id, "kept" if kept else "rejected", rows)


def _part(one: Decision, params: SelectParams) -> Part:
    row = {
        "clip_id": sample_id(one.clip_id, one.start, one.end, one.num_frames),
        "source_clip_id": one.clip_id,
        "video_id": one.video_id,
        "split": split_of(one.group, params) if one.tier else "",
        "tier": one.tier,
        "group": one.group,
        "person": one.person,
        "start_frame": one.clip_start + one.start,
        "end_frame": one.clip_start + one.end,
        "offset_frames": one.offset_frames,
        "drift_frames": one.drift_frames if params.correct_drift else 0.0,
        "probability": one.probability,
    }
    if one.reason:
        return Part("rejected", one.reason, one.detail, row)
    return Part("kept", row=row)


def sample_id(clip_id: str, start: int, end: int, num_frames: int) -> str:
    """Return the clip's id for the whole clip, else a hash of the clip's id and the frames."""
    if (start, end) == (0, num_frames):
        return clip_id
    return hashlib.sha256(f"{clip_id}|{start}|{end}".encode()).hexdigest()[:20]


def histogram(values: Sequence[tuple[float, bool]], width: float) -> str:
    """Return CSV lines bin,accepted,rejected for `dvc plots`."""
    bins: dict[int, list[int]] = {}
    for value, accepted in values:
        bins.setdefault(round(value / width), [0, 0])[not accepted] += 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["bin", "accepted", "rejected"])
    writer.writerows([round(index * width, 6), *bins[index]] for index in sorted(bins))
    return text.getvalue()


def write_plots(judged: Sequence[Decision], reports: Path) -> None:
    """Write the histograms of offset, confidence (one per judge, on its scale) and face size."""
    scores = [(one.score, not one.reason) for one in judged if one.score]
    sizes = [(one.face_px, not one.reason) for one in judged if one.score]
    series = {
        "offset": (1.0, [(float(score.offset_frames), kept) for score, kept in scores]),
        "probability": (0.02, _of_judge("landmark", scores)),
        "lse_c": (0.25, _of_judge("syncnet", scores)),
        "face_px": (20.0, sizes),
    }
    for name, (width, values) in series.items():
        write_text(reports / f"{name}_histogram.csv", histogram(values, width))


def _of_judge(judge: str, scores: Sequence[tuple[Score, bool]]) -> list[tuple[float, bool]]:
    return [(score.value, kept) for score, kept in scores if score.judge == judge]


def tiers_of(judged: Sequence[Decision]) -> dict[str, dict[str, float]]:
    """Return clips and seconds of every tier; an hq clip counts for base, too."""
    lengths: dict[str, list[int]] = {tier: [] for tier in (BASE, HQ, *QUIET_TIERS)}
    for one in judged:
        for tier in counted_tiers(one.tier):
            lengths[tier].append(one.end - one.start)
    return {t: {"clips": len(some), "seconds": sum(some) / FPS} for t, some in lengths.items()}


def split_warnings(judged: Sequence[Decision], people: People, params: SelectParams) -> list[str]:
    """Return what is wrong with the splits: one group only, an empty one, people on both sides."""
    groups = {one.group for one in judged if not one.reason}
    if len(groups) == 1:
        return [
            "every selected clip is of one source or speaker: no split is honest, since whatever "
            "is trained on it has seen the person it is tested on; add another source"
        ]
    shares = {"val": params.val_share, "test": params.test_share}
    filled = {split_of(group, params) for group in groups}
    missing = [name for name, share in shares.items() if share and groups and name not in filled]
    empty = [
        f"no clip in the split `{name}`: {len(groups)} sources or speakers are too few for a share "
        f"of {shares[name]:g}; add sources, or raise select.{name}_share"
        for name in missing
    ]
    return empty + _person_warnings(people, params)


def _person_warnings(people: People, params: SelectParams) -> list[str]:
    """Say where people are trained on and tested on."""
    if not people.shared:
        return []
    why = (
        f"{people.persons} persons are too few to fill every split, so they were drawn by source"
        if params.split_by == "auto"
        else "select.split_by is source"
    )
    return [
        f"{people.shared} persons are in training clips and in held-out ones: {why}; metrics on "
        "these splits say nothing of new people"
    ]


def select(data: Path, reports: Path, params: SelectParams) -> None:
    """Write data/select (table, people.json), reports/funnel.json and the histograms."""
    tables = RunTables(data)
    judged, people = decided(tables, params)
    write_table(table_path(data, "select"), outcomes(judged, params), Selected)
    write_people(data, people)
    write_plots(judged, reports)
    warnings = split_warnings(judged, people, params)
    facts = {
        **funnel(tables, UP_TO_HERE),
        "people": people.facts(),
        "tiers": tiers_of(judged),
        "warnings": warnings,
    }
    write_json(reports / "funnel.json", facts)
    for warning in warnings:
        sys.stderr.write(f"warning: select: {warning}\n")


def main() -> None:
    """`python -m stages.select`, called by dvc.yaml."""
    select(DATA, REPORTS, load_params().select)


if __name__ == "__main__":
    run_main(main)
