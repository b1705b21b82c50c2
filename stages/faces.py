"""scenes -> clips: every face of every shot, tracked, aligned, as clips of 3 to 10 s."""

from pipeline.engine.command import DATA, execute, run_main
from pipeline.faces.stage import Faces, VideoShots
from pipeline.params.curation import load_params
from pipeline.sources import locations
from pipeline.tables.rows import Clip, Scene, Video
from pipeline.tables.run_tables import RunTables, table_path

TABLE = table_path(DATA, "faces")


def videos_with_shots(tables: RunTables, source: str) -> list[VideoShots]:
    """Join the tables `videos` and `scenes`: one item per video whose shots are known."""
    videos = tables.rows("ingest", Video)
    where = locations(source, [video.uri for video in videos])
    shots: dict[str, list[tuple[int, int]]] = {}
    for scene in tables.rows("scenes", Scene):
        shots.setdefault(scene.video_id, []).append((scene.start_frame, scene.end_frame))
    return [
        VideoShots(video, where[video.uri], tuple(sorted(shots[video.video_id])))
        for video in videos
        if video.video_id in shots
    ]


def main() -> None:
    """`python -m stages.faces`, called by dvc.yaml."""
    params = load_params()
    items = videos_with_shots(RunTables(DATA), params.ingest.source)
    execute(Faces(params.faces), items, TABLE, Clip, params)


if __name__ == "__main__":
    run_main(main)
