"""videos -> scenes: where one shot ends and the next begins, exact to the frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2

from pipeline.engine.ahead import Ahead
from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.joining import Spans, item_name, joined
from pipeline.engine.outcome import Outcome, Part, part_of
from pipeline.engine.stage import Reject, Stage
from pipeline.faces.film_pass import shots_and_clips
from pipeline.faces.stage import FILM, Faces, VideoShots
from pipeline.faults import Caught
from pipeline.media.shots import find_shots
from pipeline.media.spans import reading_s, spans_of
from pipeline.media.transitions import Span, merged, without
from pipeline.media.versions import media_versions
from pipeline.params.curation import ScenesParams, load_params
from pipeline.sources import local_copy, locations
from pipeline.tables.rows import Clip, Scene, Video
from pipeline.tables.run_tables import RunTables, table_path

TABLE = table_path(DATA, "scenes")
ENDED_BADLY = ("failed", "quarantined")


@dataclass(frozen=True, slots=True)
class VideoFile:
    """One video and where its bytes are."""

    video: Video
    location: str
    span: Span | None = None
    """The part of a long film whose shots are found; None: all."""
    plain: bool = False
    """Only the shots: faces are not cut in the same pass."""


class Scenes(Stage[VideoFile, Scene]):
    """Finds the shots of one video."""

    name = "scenes"
    version = "5"
    resources = FILM

    def __init__(self, params: ScenesParams, ahead: Ahead[VideoShots, Clip] | None = None) -> None:
        """Prepare the stage.

        Args:
            ahead: the stage `faces`, whose clips are cut from the same decode.
        """
        self.params, self._ahead = params, ahead
        if ahead:
            self.resources = ahead.stage.resources

    def item_id(self, item: VideoFile) -> str:
        """Return the video's id, for a part of a long film with its first frame."""
        return item_name(item.video.video_id, item.span)

    def identity(self, item: VideoFile) -> Mapping[str, Any]:
        """Return the hash of the bytes: a moved or renamed file is not decoded again."""
        part = {"span": list(item.span)} if item.span else {}
        return {"video_id": item.video.video_id, **part}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section as it is, and the versions of what decodes and finds cuts."""
        finder = {"scenedetect": version("scenedetect")}
        return {**self.params.model_dump(), "versions": {**media_versions(), **finder}}

    def deadline_s(self, item: VideoFile) -> float:
        """Return a minute, four times the duration up to the span's end, which may have to be
        decoded from the beginning, the time to fetch the film, and the deadline of `faces`.
        """
        _, end = item.span or (0, item.video.num_frames)
        own = 60 + reading_s(item.video, end)
        if self._ahead is None or item.span:
            return own
        return own + self._ahead.stage.deadline_s(self._faces_item(item, ()))

    def plain(self, item: VideoFile) -> VideoFile:
        """Return the item without its faces, which may be what killed the worker."""
        return replace(item, plain=True)

    def works_ahead_for(self) -> Sequence[Stage[Any, Any]]:
        """Return the stage `faces`."""
        return (self._ahead.stage,) if self._ahead else ()

    def setup(self) -> None:
        """Keep OpenCV on one thread, and load what `faces` needs."""
        cv2.setNumThreads(1)
        if self._ahead:
            self._ahead.stage.setup()

    def process(self, item: VideoFile, workdir: Path) -> Sequence[Scene | Reject] | Reject:
        """Return one Scene per shot, and a rejected one per dissolve or fade between them.

        Of a span: the shots that are seen in it, as far as they are known there.
        """
        with local_copy(item.location) as path:
            shots = self._with_faces(path, item)
            if shots is None:
                shots = find_shots(path, self.params, item.span)
        return scene_rows(item.video.video_id, shots, item.span or (0, item.video.num_frames))

    def _with_faces(self, path: Path, item: VideoFile) -> list[Span] | None:
        """Return the shots, and store the clips; None where `faces` must see to them itself.

        Whatever goes wrong with a face is for that stage to find out and to record.
        """
        if self._ahead is None or item.plain or item.span:
            return None
        faces = self._ahead.stage
        assert isinstance(faces, Faces)
        with Caught() as caught, self._ahead.cache.workdir() as folder:
            shots, clips = shots_and_clips(
                path, item.video, self.params, faces.backend, faces.params, folder
            )
            made = self._faces_item(item, tuple(shots))
            self._ahead.commit(made, faces.rows(made, clips), folder)
        return None if caught.error else shots

    def _faces_item(self, item: VideoFile, shots: tuple[Span, ...]) -> VideoShots:
        return VideoShots(item.video, item.location, shots)

    def close(self) -> None:
        """Drop what `setup` loaded."""
        if self._ahead:
            self._ahead.stage.close()


def scene_rows(
    video_id: str, shots: Sequence[Span], part: Span, unknown: Sequence[Span] = ()
) -> list[Scene | Reject]:
    """Return a row for every shot, numbered, and one for what is in none, in order.

    Args:
        part: the frames that are looked at.
        unknown: frames of which nothing is known.
    """
    numbered = [(number, *shot) for number, shot in enumerate(shots)]
    known = merged([*shots, *unknown], touching=False)
    between = [(-1, *one) for one in without(known, *part)]
    places = sorted([*numbered, *between], key=lambda place: place[1])
    return [_row(video_id, *place) for place in places]


def _row(video_id: str, scene: int, start: int, end: int) -> Scene | Reject:
    row = Scene(video_id=video_id, scene=scene, start_frame=start, end_frame=end)
    if scene >= 0:
        return row
    return Reject("transition", f"a dissolve or a fade of {end - start} frames", row)


def join_shots(spans: Spans, num_frames: int) -> list[Part]:
    """Return the rows of a film; shots at the border of two spans are seen in both."""
    seen = [
        (part.row["start_frame"], part.row["end_frame"], part.row["video_id"])
        for _, parts in spans
        for part in parts
        if part.status == "kept" and part.row
    ]
    failed = [part for _, parts in spans for part in parts if part.status in ENDED_BADLY]
    if not seen:
        return [part for _, parts in spans for part in parts]
    shots = merged([(start, end) for start, end, _ in seen], touching=False)
    ends = [*(first for first, _ in spans[1:]), num_frames]
    unknown = [
        (first, end)
        for (first, parts), end in zip(spans, ends, strict=True)
        if any(part.status in ENDED_BADLY for part in parts)
    ]
    rows = scene_rows(seen[0][2], shots, (0, num_frames), unknown)
    return [*(part_of(row) for row in rows), *failed]


def main() -> None:
    """`python -m stages.scenes`, called by dvc.yaml."""
    params, cache = load_params(), open_cache()
    videos = RunTables(DATA).rows("ingest", Video)
    where = locations(params.ingest.source, [video.uri for video in videos])
    items = [item for video in videos for item in spans_to_cut(video, where[video.uri])]
    lengths = {video.video_id: video.num_frames for video in videos}
    stage = Scenes(params.scenes, Ahead.of(Faces(params.faces, cache), cache))

    def finish(found: Sequence[Outcome]) -> list[Outcome]:
        return joined(found, lambda film, spans: join_shots(spans, lengths[film]))

    execute(stage, items, TABLE, Scene, params, finish)


def spans_to_cut(video: Video, location: str) -> list[VideoFile]:
    """Return one item per span of a video."""
    spans = spans_of(video)
    if len(spans) == 1:
        return [VideoFile(video, location)]
    return [VideoFile(video, location, span) for span in spans]


if __name__ == "__main__":
    run_main(main)
