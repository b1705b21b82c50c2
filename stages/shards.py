"""select -> shards: the offset corrected, read back, re-scored, packed."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic import write_text
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.judge.choice import evidence_model
from pipeline.judge.film import FilmClip, SyncedFrames, judge_corrected
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.weights import weights_sha256
from pipeline.judge.seconds import sync_by_frame
from pipeline.judge.stretches import IN_SYNC
from pipeline.params.curation import Params, load_params
from pipeline.shards.datacard import datacard
from pipeline.shards.labels import ClipSeries
from pipeline.shards.packing import pack, with_shard_names
from pipeline.shards.sample import (
    ReadBack,
    Rescored,
    SelectedClip,
    WrittenSample,
    sample_facts,
    write_sample,
)
from pipeline.shards.tar_stage import until_packed
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import FPS, Quality, Sample, Selected
from pipeline.tables.run_tables import RunTables, measured_clips, table_path

OUT = DATA / "shards"
MAX_RESIDUAL_FRAMES = 1.0
"""A corrected sample must re-score within this many frames of zero, in every stretch."""
MAX_WRONG_FRAMES = FPS
"""Frames of a corrected sample that may be out of sync or foreign by the judge: one second, less
than it can tell."""
MIN_OVERRULING_PROBABILITY = 0.5
"""From here on the landmark judge's answer is more likely right than wrong."""


class Shards(Stage[SelectedClip, Sample]):
    """Makes the four members of one sample."""

    name = "shards"
    version = "6"
    resources = Resources(memory_bytes=500_000_000)

    def item_id(self, item: SelectedClip) -> str:
        """Return the clip's id."""
        return item.selected.clip_id

    def identity(self, item: SelectedClip) -> Mapping[str, Any]:
        """Return all facts that go into the sample, and the key of its files."""
        files = {"files": item.clip.artifact, "series": item.series.sha256()}
        return {**sample_facts(item), **files}

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the judge that re-scores."""
        return {"landmark_judge": weights_sha256()}

    def artifacts(self, item: SelectedClip) -> Sequence[tuple[str, str]]:
        """Return the clip's three files."""
        return item.files.artifacts()

    def setup(self) -> None:
        """Load the judge."""
        self.judge = LandmarkJudge.load()
        self.model = evidence_model(LandmarkJudge.name)

    def process(self, item: SelectedClip, workdir: Path) -> Sequence[Sample | Reject] | Reject:
        """Write one sample; reject it if it is still out of sync after the correction."""
        written = write_sample(item, workdir, self._rescore)
        row, again = _row(item, written), written.rescored
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


def _row(item: SelectedClip, written: WrittenSample) -> Sample:
    selected, interval = item.selected, written.interval
    start = item.clip.start_frame + interval.first_frame
    return Sample(
        clip_id=selected.clip_id,
        source_clip_id=item.clip.clip_id,
        video_id=item.video.video_id,
        start_frame=start,
        end_frame=start + interval.num_frames,
        split=selected.split,
        shard="",
        num_frames=interval.num_frames,
        offset_applied_frames=selected.offset_frames,
        rescored_offset_frames=written.rescored.offset_subframe,
        rescored_confidence=written.rescored.confidence,
    )


def selected_clips(tables: RunTables, cache: Cache) -> list[SelectedClip]:
    """Join the tables for every clip that `select` kept."""
    measured = {one.clip.clip_id: one for one in measured_clips(tables)}
    rows = tables.rows("select", Selected)
    series = clip_series(tables, {row.source_clip_id for row in rows})
    found = []
    for row in rows:
        one = measured[row.source_clip_id]
        assert one.sync is not None, "select keeps only clips with a sync score"
        assert one.quality is not None, "select keeps only clips that were measured"
        files = ClipFiles.of(one.clip, cache)
        of_frames = series[row.source_clip_id]
        found.append(
            SelectedClip(row, one.video, one.clip, one.sync, one.quality, of_frames, files)
        )
    return found


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
        execute(Shards(), clips, table_path(DATA, "shards"), Sample, params, finish=name)
        return pack(tables.rows("shards", Sample), OUT, params.shards, cache)

    until_packed("shards", made)
    write_text(OUT / "README.md", datacard(tables, OUT / "index.json"))


def main() -> None:
    """`python -m stages.shards`, called by dvc.yaml."""
    run(load_params())


if __name__ == "__main__":
    run_main(main)
