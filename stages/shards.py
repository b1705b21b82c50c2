"""select -> shards: the offset corrected, read back, re-scored, packed."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from pipeline.atomic import write_text
from pipeline.engine.again import note_more_unfinished
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.manifest import each_kept_row
from pipeline.engine.stage import Reject
from pipeline.judge.choice import evidence_model
from pipeline.judge.film import FilmClip, SyncedFrames, judge_corrected
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.weights import weights_sha256
from pipeline.judge.seconds import sync_by_frame
from pipeline.judge.stretches import IN_SYNC
from pipeline.params.curation import Params, load_params
from pipeline.shard_index.quiet import QUIET
from pipeline.shards.correction import CommonInterval
from pipeline.shards.datacard import datacard
from pipeline.shards.labels import ClipSeries
from pipeline.shards.packing import pack, with_shard_names
from pipeline.shards.place import tar_place
from pipeline.shards.quiet_stage import QuietShards
from pipeline.shards.sample import (
    ReadBack,
    Rescored,
    SelectedClip,
    write_sample,
)
from pipeline.shards.sample_stage import SampleStage
from pipeline.shards.tar_stage import until_packed
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import FPS, QUIET_TIERS, Quality, QuietSample, Sample, Selected
from pipeline.tables.run_tables import RunTables, measured_clips, quiet_table, table_path

OUT = DATA / "shards"
MAX_RESIDUAL_FRAMES = 1.0
"""A corrected sample must re-score within this many frames of zero, in every stretch."""
MAX_WRONG_FRAMES = FPS
"""Frames of a corrected sample that may be out of sync or foreign by the judge: one second, less
than it can tell."""
MIN_OVERRULING_PROBABILITY = 0.5
"""From here on the landmark judge's answer is more likely right than wrong."""


class Shards(SampleStage[Sample]):
    """Corrects the offset, and judges again what it has written."""

    name = "shards"
    version = "6"

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the judge that re-scores."""
        return {"landmark_judge": weights_sha256()}

    def setup(self) -> None:
        """Load the judge."""
        self.judge = LandmarkJudge.load()
        self.model = evidence_model(LandmarkJudge.name)

    def process(self, item: SelectedClip, workdir: Path) -> Sequence[Sample | Reject] | Reject:
        """Write one sample; reject it if it is still out of sync after the correction."""
        written = write_sample(item, workdir, self._rescore)
        assert written.rescored is not None, "a selected clip is judged"
        row, again = _row(item, written.interval, written.rescored), written.rescored
        if again.wrong_frames > MAX_WRONG_FRAMES and _overrules(item, again):
            detail = (
                f"{again.wrong_frames} of {row.num_frames} frames are out of sync or foreign after "
                f"the correction, the whole re-scores at {again.offset_subframe:+.1f} frames"
            )
            return [Reject("offset_not_fixed", detail, row)]
        return [row]

    def _rescore(self, sample: ReadBack) -> Rescored:
        again = self.judge.score(sample.landmarks, sample.audio)
        clip = FilmClip(0, len(sample.landmarks), again.distances)
        stretches = judge_corrected(clip, self.model)
        return Rescored(
            wrong_frames=sum(one.end - one.start for one in stretches if not _in_sync(one)),
            judge=LandmarkJudge.name,
            mode=again.mode,
            offset_frames=again.offset_frames,
            offset_subframe=again.offset_subframe,
            confidence=again.confidence,
            min_distance=again.min_distance,
            probability=again.probability,
            sync_by_frame=sync_by_frame(again.distances, self.model, clip.num_frames),
        )


def _in_sync(one: SyncedFrames) -> bool:
    return one.kind == IN_SYNC and abs(one.offset_frames) <= MAX_RESIDUAL_FRAMES


def _overrules(item: SelectedClip, again: Rescored) -> bool:
    """Return whether the landmark judge's second score counts: its own offset, or probable enough.

    Where another judge measured the offset, an improbable answer is recorded but rejects nothing.
    """
    assert again.probability is not None, "the bundled judge is calibrated"
    by_landmarks = item.sync.judge == LandmarkJudge.name
    return by_landmarks or again.probability >= MIN_OVERRULING_PROBABILITY


def _row(item: SelectedClip, interval: CommonInterval, again: Rescored) -> Sample:
    selected = item.selected
    start = item.clip.start_frame + interval.first_frame
    return Sample(
        clip_id=selected.clip_id,
        source_clip_id=item.clip.clip_id,
        video_id=item.video.video_id,
        start_frame=start,
        end_frame=start + interval.num_frames,
        split=selected.split,
        tier=selected.tier,
        shard="",
        num_frames=interval.num_frames,
        offset_applied_frames=selected.offset_frames,
        rescored_offset_frames=again.offset_subframe,
        rescored_confidence=again.confidence,
    )


def selected_clips(tables: RunTables, cache: Cache) -> list[SelectedClip]:
    """Join the tables for every clip that `select` kept, or gave a quiet tier."""
    measured = {one.clip.clip_id: one for one in measured_clips(tables)}
    rows = [*((row, "") for row in tables.rows("select", Selected)), *quiet_rows(tables)]
    series = clip_series(tables, {row.source_clip_id for row, _ in rows})
    found = []
    for row, reason in rows:
        one = measured[row.source_clip_id]
        assert one.sync is not None, "select keeps only clips with a sync score"
        assert one.quality is not None, "select keeps only clips that were measured"
        found.append(
            SelectedClip(
                selected=row,
                video=one.video,
                clip=one.clip,
                sync=one.sync,
                quality=one.quality,
                series=series[row.source_clip_id],
                files=ClipFiles.of(one.clip, cache),
                rejected_for=reason,
            )
        )
    return found


def quiet_rows(tables: RunTables) -> Iterator[tuple[Selected, str]]:
    """Yield the rows of `select` that have a quiet tier, each with the reason of its rejection."""
    names = [one.name for one in fields(Selected)]
    for row in tables.each("select"):
        if row["tier"] in QUIET_TIERS:
            yield Selected(**{name: row[name] for name in names}), row["reason"]


def clip_series(tables: RunTables, wanted: Collection[str]) -> dict[str, ClipSeries]:
    """Return what `quality` measured of every frame of the wanted clips, by clip_id."""
    rows = tables.each_kept("quality", Quality)
    return {one.clip_id: ClipSeries.of(one) for one in rows if one.clip_id in wanted}


def run(params: Params) -> None:
    """Make samples, tars, index, table and data card."""
    cache, tables = open_cache(), RunTables(DATA)
    clips = selected_clips(tables, cache)
    name = partial(with_shard_names, params=params.shards, cache=cache)

    def made() -> bool:
        talking = [one for one in clips if not one.is_quiet]
        execute(Shards(), talking, table_path(DATA, "shards"), Sample, params, finish=name)
        return pack(tables.rows("shards", Sample), OUT, params.shards, cache)

    until_packed("shards", made)
    run_quiet([one for one in clips if one.is_quiet], params, cache)
    write_text(OUT / "README.md", datacard(tables, OUT / "index.json", params))


def run_quiet(clips: Sequence[SelectedClip], params: Params, cache: Cache) -> None:
    """Make samples, tars, index and table of the quiet clips, in a folder of their own."""
    out, quiet = OUT / QUIET, QuietShards.name
    if not params.shards.quiet_tiers:
        tar_place(out, QUIET).remove_others(())
        shutil.rmtree(out, ignore_errors=True)
        return
    name = partial(with_shard_names, params=params.shards, cache=cache, row_type=QuietSample)
    table = quiet_table(DATA)

    def made() -> bool:
        ended = execute(QuietShards(), clips, table, QuietSample, params, finish=name)
        unfinished = {one.item_id: one.reason for one in ended if one.transient or not one.final}
        note_more_unfinished(Shards.name, unfinished)
        rows = list(each_kept_row(table, QuietSample))
        return pack(rows, out, params.shards, cache, QUIET, quiet)

    until_packed(quiet, made)


def main() -> None:
    """`python -m stages.shards`, called by dvc.yaml."""
    run(load_params())


if __name__ == "__main__":
    run_main(main)
