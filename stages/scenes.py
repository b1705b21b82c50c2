"""videos -> scenes: where one shot ends and the next begins, exact to the frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.stage import Reject, Stage
from pipeline.media.shots import find_shots
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
    version = "2"

    def __init__(self, params: ScenesParams) -> None:
        self.params = params

    def item_id(self, item: VideoFile) -> str:
        """Return the video's id."""
        return item.video.video_id

    def identity(self, item: VideoFile) -> Mapping[str, Any]:
        """Return the hash of the bytes: a moved or renamed file is not decoded again."""
        return {"video_id": item.video.video_id}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section as it is: all of it changes the result."""
        return self.params.model_dump()

    def deadline_s(self, item: VideoFile) -> float:
        """Return a minute plus four times the duration."""
        return 60 + 4 * item.video.duration_s

    def process(self, item: VideoFile, workdir: Path) -> Sequence[Scene | Reject] | Reject:
        """Return one Scene per shot."""
        with local_copy(item.location) as path:
            shots, decoder = find_shots(path, item.video, self.params)
        return [
            Scene(
                video_id=item.video.video_id,
                scene=index,
                start_frame=start,
                end_frame=end,
                decoder=decoder,
            )
            for index, (start, end) in enumerate(shots)
        ]


def main() -> None:
    """`python -m stages.scenes`, called by dvc.yaml."""
    params = load_params()
    videos = RunTables(DATA).rows("ingest", Video)
    where = locations(params.ingest.source, [video.uri for video in videos])
    items = [VideoFile(video, where[video.uri]) for video in videos]
    execute(Scenes(params.scenes), items, TABLE, Scene, params)


if __name__ == "__main__":
    run_main(main)
