"""select -> shards: the offset corrected, re-scored through the training reader, packed."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.atomic import write_text
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.stage import Reject, Stage
from pipeline.judge.landmark.judge import LandmarkJudge, weights_sha256
from pipeline.params.curation import Params, load_params
from pipeline.shards.datacard import datacard
from pipeline.shards.packing import pack, with_shard_names
from pipeline.shards.sample import (
    Rescored,
    SelectedClip,
    WrittenSample,
    sample_facts,
    write_sample,
)
from pipeline.shards.tar import TrainingSample
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import Sample, Selected
from pipeline.tables.run_tables import RunTables, measured_clips, table_path

OUT = DATA / "shards"
MAX_RESIDUAL_FRAMES = 1
"""A corrected clip must re-score within this many frames of zero."""
MIN_OVERRULING_PROBABILITY = 0.5
"""From here on the landmark judge's answer is more likely right than wrong."""


class Shards(Stage[SelectedClip, Sample]):
    """Makes the four members of one sample."""

    name = "shards"
    version = "4"
    packs_files = True

    def item_id(self, item: SelectedClip) -> str:
        """Return the clip's id."""
        return item.clip.clip_id

    def identity(self, item: SelectedClip) -> Mapping[str, Any]:
        """Return all facts that go into the sample, and the key of its files."""
        return {**sample_facts(item), "files": item.clip.artifact}

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the judge that re-scores."""
        return {"landmark_judge": weights_sha256()}

    def artifacts(self, item: SelectedClip) -> Sequence[tuple[str, str]]:
        """Return the clip's three files."""
        return item.files.artifacts()

    def setup(self) -> None:
        """Load the judge."""
        self.judge = LandmarkJudge.load()

    def process(self, item: SelectedClip, workdir: Path) -> Sequence[Sample | Reject] | Reject:
        """Write one sample; reject it if it is still out of sync after the correction."""
        written = write_sample(item, workdir, self._rescore)
        row = _row(item, written)
        offset = written.rescored.offset_frames
        if abs(offset) > MAX_RESIDUAL_FRAMES and _overrules(item, written.rescored):
            detail = f"re-scored at {offset} frames after correction"
            return [Reject("offset_not_fixed", detail, row)]
        return [row]

    def _rescore(self, sample: TrainingSample) -> Rescored:
        again = self.judge.score(sample.landmarks, sample.audio)
        return Rescored(
            judge=LandmarkJudge.name,
            mode=again.mode,
            offset_frames=again.offset_frames,
            offset_subframe=again.offset_subframe,
            confidence=again.confidence,
            min_distance=again.min_distance,
            probability=again.probability,
        )


def _overrules(item: SelectedClip, again: Rescored) -> bool:
    """Return whether the landmark judge's second score counts: its own offset, or probable enough.

    Where another judge measured the offset, an improbable answer is recorded but rejects nothing.
    """
    assert again.probability is not None, "the bundled judge is calibrated"
    by_landmarks = item.sync.judge == LandmarkJudge.name
    return by_landmarks or again.probability >= MIN_OVERRULING_PROBABILITY


def _row(item: SelectedClip, written: WrittenSample) -> Sample:
    return Sample(
        clip_id=item.clip.clip_id,
        video_id=item.video.video_id,
        split=item.selected.split,
        shard="",
        num_frames=written.num_frames,
        offset_applied_frames=item.selected.offset_frames,
        rescored_offset_frames=written.rescored.offset_frames,
        rescored_confidence=written.rescored.confidence,
    )


def selected_clips(tables: RunTables, cache: Cache) -> list[SelectedClip]:
    """Join the tables for every clip that `select` kept."""
    measured = {one.clip.clip_id: one for one in measured_clips(tables)}
    found = []
    for row in tables.rows("select", Selected):
        one = measured[row.clip_id]
        assert one.sync is not None, "select keeps only clips with a sync score"
        assert one.quality is not None, "select keeps only clips that were measured"
        files = ClipFiles.of(one.clip, cache)
        found.append(SelectedClip(row, one.video, one.clip, one.sync, one.quality, files))
    return found


def run(params: Params) -> None:
    """Make samples, tars, index, table and data card."""
    cache, tables = open_cache(), RunTables(DATA)
    clips = selected_clips(tables, cache)
    name = partial(with_shard_names, params=params.shards, cache=cache)
    execute(Shards(), clips, table_path(DATA, "shards"), Sample, params, finish=name)
    pack(tables.rows("shards", Sample), OUT, params.shards, cache)
    write_text(OUT / "README.md", datacard(tables, OUT / "index.json"))


def main() -> None:
    """`python -m stages.shards`, called by dvc.yaml."""
    run(load_params())


if __name__ == "__main__":
    run_main(main)
