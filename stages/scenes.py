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
from pipeline.engine.stage import Reject, Stage
from pipeline.faces.film_pass import shots_and_clips
from pipeline.faces.stage import Faces, VideoShots
from pipeline.faults import Caught
from pipeline.media.shots import find_shots
from pipeline.media.transitions import Span
from pipeline.media.versions import media_versions
from pipeline.params.curation import ScenesParams, load_params
from pipeline.sources import local_copy, locations
from pipeline.tables.rows import Clip, Scene, Video
from pipeline.tables.run_tables import RunTables, table_path

TABLE = table_path(DATA, "scenes")


@dataclass(frozen=True, slots=True)
class VideoFile:
    """One video and where its bytes are."""

    video: Video
    location: str
    plain: bool = False
    """Only the shots: faces are not cut in the same pass."""


class Scenes(Stage[VideoFile, Scene]):
    """Finds the shots of one video."""

    name = "scenes"
    version = "4"

    def __init__(self, params: ScenesParams, ahead: Ahead[VideoShots, Clip] | None = None) -> None:
        """Prepare the stage.

        Args:
            ahead: the stage `faces`, whose clips are cut from the same decode.
        """
        self.params, self._ahead = params, ahead

    def item_id(self, item: VideoFile) -> str:
        """Return the video's id."""
        return item.video.video_id

    def identity(self, item: VideoFile) -> Mapping[str, Any]:
        """Return the hash of the bytes: a moved or renamed file is not decoded again."""
        return {"video_id": item.video.video_id}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section as it is, and the versions of what decodes and finds cuts."""
        finder = {"scenedetect": version("scenedetect")}
        return {**self.params.model_dump(), "versions": {**media_versions(), **finder}}

    def deadline_s(self, item: VideoFile) -> float:
        """Return a minute plus four times the duration, and the deadline of `faces`."""
        faces = self._faces_item(item, ())
        own = 60 + 4 * item.video.duration_s
        return own + (self._ahead.stage.deadline_s(faces) if self._ahead else 0.0)

    def plain(self, item: VideoFile) -> VideoFile:
        """Return the item without its faces, which may be what killed the worker."""
        return replace(item, plain=True)

    def setup(self) -> None:
        """Keep OpenCV on one thread, and load what `faces` needs."""
        cv2.setNumThreads(1)
        if self._ahead:
            self._ahead.stage.setup()

    def process(self, item: VideoFile, workdir: Path) -> Sequence[Scene | Reject] | Reject:
        """Return one Scene per shot, and a rejected one per dissolve or fade between them."""
        with local_copy(item.location) as path:
            shots = self._with_faces(path, item) or find_shots(path, self.params)
        ends = [0, *(end for _, end in shots)]
        starts = [*(start for start, _ in shots), max(item.video.num_frames, ends[-1])]
        numbered = [(number, *shot) for number, shot in enumerate(shots)]
        between = [(-1, end, start) for end, start in zip(ends, starts, strict=True) if end < start]
        return [
            _row(item.video.video_id, *place)
            for place in sorted([*numbered, *between], key=lambda place: place[1])
        ]

    def _with_faces(self, path: Path, item: VideoFile) -> list[Span] | None:
        """Return the shots, and store the clips; None where `faces` must see to them itself.

        Whatever goes wrong with a face is for that stage to find out and to record.
        """
        if self._ahead is None or item.plain:
            return None
        faces = self._ahead.stage
        assert isinstance(faces, Faces)
        with Caught() as caught, self._ahead.workdir() as folder:
            shots, clips = shots_and_clips(
                path, item.video, self.params, faces.backend, faces.params, folder
            )
            made = self._faces_item(item, tuple(shots))
            self._ahead.commit(made, faces.rows(item.video, clips), folder)
        return None if caught.error else shots

    def _faces_item(self, item: VideoFile, shots: tuple[Span, ...]) -> VideoShots:
        return VideoShots(item.video, item.location, shots)

    def close(self) -> None:
        """Drop what `setup` loaded."""
        if self._ahead:
            self._ahead.stage.close()


def _row(video_id: str, scene: int, start: int, end: int) -> Scene | Reject:
    row = Scene(video_id=video_id, scene=scene, start_frame=start, end_frame=end)
    if scene >= 0:
        return row
    return Reject("transition", f"a dissolve or a fade of {end - start} frames", row)


def main() -> None:
    """`python -m stages.scenes`, called by dvc.yaml."""
    params = load_params()
    videos = RunTables(DATA).rows("ingest", Video)
    where = locations(params.ingest.source, [video.uri for video in videos])
    items = [VideoFile(video, where[video.uri]) for video in videos]
    ahead = Ahead.of(Faces(params.faces), open_cache())
    execute(Scenes(params.scenes, ahead), items, TABLE, Scene, params)


if __name__ == "__main__":
    run_main(main)
