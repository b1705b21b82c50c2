"""sync -> stretches: one clock per film, and which seconds of every clip are in sync."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.digest import digest
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, run_main
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.engine.streamed import execute_streamed
from pipeline.judge.choice import evidence_model
from pipeline.judge.curve import Doubles
from pipeline.judge.film import FilmClip, SyncedFrames, judge_film
from pipeline.media.clip_reader import read_arrays
from pipeline.params.curation import StretchesParams, load_params
from pipeline.tables.rows import FPS, Clip, SyncScore, SyncStretch
from pipeline.tables.run_tables import RunTables, table_path

TABLE = table_path(DATA, "stretches")


@dataclass(frozen=True, slots=True)
class ClipDistances:
    """A scored clip, and where the distances of its windows lie."""

    clip: Clip
    score: SyncScore
    distances: Path


@dataclass(frozen=True, slots=True)
class ScoredFilm:
    """All clips of one film that were scored, in the order of time."""

    video_id: str
    clips: tuple[ClipDistances, ...]


class Stretches(Stage[ScoredFilm, SyncStretch]):
    """Judges all clips of one film together; reads distances only."""

    name: ClassVar[str] = "stretches"
    version: ClassVar[str] = "3"
    resources = Resources(memory_bytes=400_000_000)

    def __init__(self, judge: str, params: StretchesParams) -> None:
        self.judge, self.params = judge, params

    def item_id(self, item: ScoredFilm) -> str:
        """Return the video's id."""
        return item.video_id

    def identity(self, item: ScoredFilm) -> Mapping[str, Any]:
        """Return the clips, their places and the keys of their distances."""
        return {
            "clips": [
                [one.clip.clip_id, one.clip.start_frame, one.clip.end_frame, one.score.artifact]
                for one in item.clips
            ]
        }

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section, the judge whose distances these are, and its evidence model."""
        evidence = digest(evidence_model(self.judge).as_json())
        return {**self.params.model_dump(), "judge": self.judge, "evidence": evidence}

    def deadline_s(self, item: ScoredFilm) -> float:
        """Return a minute, and a tenth of the judged time: fifty times what it takes."""
        return 60 + sum(one.clip.num_frames for one in item.clips) / FPS / 10

    def artifacts(self, item: ScoredFilm) -> Sequence[tuple[str, str]]:
        """Return the distances of every clip."""
        return [(one.score.artifact, one.distances.name) for one in item.clips]

    def setup(self) -> None:
        """Load the evidence model."""
        self.model = evidence_model(self.judge)

    def process(self, item: ScoredFilm, workdir: Path) -> Sequence[SyncStretch | Reject]:
        """Return the stretches of every clip of the film.

        Raises:
            MediaError: stored distances cannot be read.
        """
        judged = [
            FilmClip(one.clip.start_frame, one.clip.num_frames, _distances(one.distances))
            for one in item.clips
        ]
        found = judge_film(judged, self.model, self.params.foreign_weight)
        return [
            _row(one.clip, stretch)
            for one, stretches in zip(item.clips, found, strict=True)
            for stretch in stretches
        ]


def _distances(npz: Path) -> Doubles:
    return read_arrays(npz, ("distances",))["distances"].astype(np.float64)


def _row(clip: Clip, found: SyncedFrames) -> SyncStretch:
    return SyncStretch(
        clip_id=clip.clip_id,
        video_id=clip.video_id,
        start_frame=clip.start_frame + found.start,
        end_frame=clip.start_frame + found.end,
        kind=found.kind,
        offset_frames=found.offset_frames,
        drift_frames=found.drift_frames,
        probability=found.probability,
    )


def scored_films(tables: RunTables, cache: Cache) -> list[ScoredFilm]:
    """Return the films of which at least one clip was scored."""
    scores = {one.clip_id: one for one in tables.rows("sync", SyncScore)}
    films: dict[str, list[ClipDistances]] = {}
    for clip in tables.rows("faces", Clip):
        score = scores.get(clip.clip_id)
        if score is not None:
            distances = cache.place(score.artifact, f"{clip.clip_id}.npz")
            films.setdefault(clip.video_id, []).append(ClipDistances(clip, score, distances))
    return [ScoredFilm(video_id, tuple(_in_order(clips))) for video_id, clips in films.items()]


def _in_order(clips: Sequence[ClipDistances]) -> list[ClipDistances]:
    return sorted(clips, key=lambda one: (one.clip.start_frame, one.clip.clip_id))


def main() -> None:
    """`python -m stages.stretches`, called by dvc.yaml."""
    params, tables = load_params(), RunTables(DATA)
    films = scored_films(tables, open_cache())
    judges = {one.score.judge for film in films for one in film.clips}
    stage = Stretches(min(judges, default="landmark"), params.stretches)
    execute_streamed(stage, films, TABLE, SyncStretch, params)


if __name__ == "__main__":
    run_main(main)
