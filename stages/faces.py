"""scenes -> clips: every face of every shot, tracked, aligned, as clips of 3 to 10 s."""

from collections.abc import Iterator
from dataclasses import replace

from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.joining import Spans, joined
from pipeline.engine.outcome import Part
from pipeline.faces.stage import Faces, VideoShots
from pipeline.media.spans import spans_of
from pipeline.media.transitions import Span
from pipeline.params.curation import load_params
from pipeline.sources import locations
from pipeline.tables.rows import Clip, Scene, Video
from pipeline.tables.run_tables import RunTables, table_path

TABLE = table_path(DATA, "faces")


def videos_with_shots(tables: RunTables, source: str) -> list[VideoShots]:
    """Join the tables `videos` and `scenes`: an item per span of a video whose shots are known."""
    videos = tables.rows("ingest", Video)
    where = locations(source, [video.uri for video in videos])
    shots: dict[str, list[Span]] = {}
    for scene in tables.rows("scenes", Scene):
        shots.setdefault(scene.video_id, []).append((scene.start_frame, scene.end_frame))
    return [
        item
        for video in videos
        if video.video_id in shots
        for item in spans_with_shots(video, where[video.uri], sorted(shots[video.video_id]))
    ]


def spans_with_shots(video: Video, location: str, shots: list[Span]) -> Iterator[VideoShots]:
    """Yield an item per span, with the parts of the shots that lie in it."""
    spans = spans_of(video)
    if len(spans) == 1:
        yield VideoShots(video, location, tuple(shots))
        return
    for first, end in spans:
        inside = [number for number, shot in enumerate(shots) if shot[0] < end and shot[1] > first]
        if inside:
            cut = tuple((max(first, shots[n][0]), min(end, shots[n][1])) for n in inside)
            yield VideoShots(video, location, cut, (first, end), inside[0])


def join_tracks(_film: str, spans: Spans) -> list[Part]:
    """Number the tracks of a film through its spans, which each count from 0.

    Spans without a face are no row, unless the film has none at all.
    """
    found: list[Part] = []
    first = 0
    for _, parts in spans:
        found += [_renumbered(part, first) for part in parts if part.reason != "no_face"]
        first += 1 + max((int(part.row["track"]) for part in parts if part.row), default=-1)
    return found or list(spans[0][1])


def _renumbered(part: Part, first: int) -> Part:
    if not part.row or int(part.row["track"]) < 0:
        return part
    return replace(part, row={**part.row, "track": first + int(part.row["track"])})


def main() -> None:
    """`python -m stages.faces`, called by dvc.yaml."""
    params = load_params()
    items = videos_with_shots(RunTables(DATA), params.ingest.source)
    execute(
        Faces(params.faces, open_cache()),
        items,
        TABLE,
        Clip,
        params,
        lambda found: joined(found, join_tracks),
    )


if __name__ == "__main__":
    run_main(main)
