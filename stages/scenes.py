"""videos -> scenes: where one shot ends and the next begins, exact to the frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.stage import Reject, Stage
from pipeline.media.shots import find_shots
from pipeline.media.versions import media_versions
from pipeline.params.curation import ScenesParams, load_params
from pipeline.sources import local_copy, locations
from pipeline.tables.rows import Scene, Video
from pipeline.tables.run_tables import RunTables, table_path

TABLE = table_path(DATA, "scenes")


@dataclass(frozen=True, slots=True)
class VideoFile:
    """One video and where its bytes are."""

    video: Video
    location: str


class Scenes(Stage[VideoFile, Scene]):
    """Finds the shots of one video."""

    name = "scenes"
    version = "3"

    def __init__(self, params: ScenesParams) -> None:
        self.params = params

    def item_id(self, item: VideoFile) -> str:
        """Return the video's id."""
        return item.video.video_id

    def identity(self, item: VideoFile) -> Mapping[str, Any]:
        """Return the hash of the bytes: a moved or renamed file is not decoded again."""
        return {"video_id": item.video.video_id}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section as it is, and the versions of what decodes and finds cuts."""
        finders = {name: version(name) for name in ("decord", "scenedetect")}
        return {**self.params.model_dump(), "versions": {**media_versions(), **finders}}

    def deadline_s(self, item: VideoFile) -> float:
        """Return a minute plus four times the duration."""
        return 60 + 4 * item.video.duration_s

    def process(self, item: VideoFile, workdir: Path) -> Sequence[Scene | Reject] | Reject:
        """Return one Scene per shot, and a rejected one per dissolve or fade between them."""
        with local_copy(item.location) as path:
            shots, decoder = find_shots(path, item.video, self.params)
        ends = [0, *(end for _, end in shots)]
        starts = [*(start for start, _ in shots), max(item.video.num_frames, ends[-1])]
        numbered = [(number, *shot) for number, shot in enumerate(shots)]
        between = [(-1, end, start) for end, start in zip(ends, starts, strict=True) if end < start]
        return [
            _row(item.video.video_id, *place, decoder)
            for place in sorted([*numbered, *between], key=lambda place: place[1])
        ]


def _row(video_id: str, scene: int, start: int, end: int, decoder: str) -> Scene | Reject:
    row = Scene(video_id=video_id, scene=scene, start_frame=start, end_frame=end, decoder=decoder)
    if scene >= 0:
        return row
    return Reject("transition", f"a dissolve or a fade of {end - start} frames", row)


def main() -> None:
    """`python -m stages.scenes`, called by dvc.yaml."""
    params = load_params()
    videos = RunTables(DATA).rows("ingest", Video)
    where = locations(params.ingest.source, [video.uri for video in videos])
    items = [VideoFile(video, where[video.uri]) for video in videos]
    execute(Scenes(params.scenes), items, TABLE, Scene, params)


if __name__ == "__main__":
    run_main(main)
