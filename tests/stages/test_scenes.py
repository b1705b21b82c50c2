"""The scenes stage: every frame of a film is in one row."""

import dataclasses
from pathlib import Path

import numpy as np

from pipeline.engine.stage import Reject
from pipeline.media.probe import probe
from pipeline.params.curation import ScenesParams
from pipeline.tables.rows import Scene, Video
from stages.scenes import Scenes, VideoFile
from tests.media import frame_times, textured_shot, write_video


def item(path: Path) -> VideoFile:
    facts = probe(path)
    known = {field.name for field in dataclasses.fields(Video)}
    values = {f.name: getattr(facts, f.name) for f in dataclasses.fields(facts) if f.name in known}
    video = Video(video_id="v", uri=path.name, size_bytes=1, **values)
    return VideoFile(video, str(path))


def test_shots_are_numbered_and_a_dissolve_between_them_is_a_rejected_row(tmp_path: Path) -> None:
    share = np.clip((np.arange(110) - 49) / 11, 0, 1)[:, None, None, None]
    first, last, third = (np.array(textured_shot(1, seed) * 110) for seed in (1, 8, 15))
    mixed = (first * (1 - share) + last * share).round().astype(np.uint8)
    frames = [*mixed, *third[:40]]
    path = write_video(tmp_path / "x.mp4", frames, frame_times(25, 6))
    rows = list(Scenes(ScenesParams()).process(item(path), tmp_path))
    places = []
    for row in rows:
        scene = row.row if isinstance(row, Reject) else row
        assert isinstance(scene, Scene)
        reason = row.reason if isinstance(row, Reject) else ""
        places.append((reason, scene.scene, scene.start_frame, scene.end_frame))
    (_, _, _, end), (_, _, _, start) = places[:2]
    assert 48 <= end <= 51
    assert 59 <= start <= 63
    assert places == [
        ("", 0, 0, end),
        ("transition", -1, end, start),
        ("", 1, start, 110),
        ("", 2, 110, 150),
    ]


def test_the_cache_key_holds_the_versions_of_what_finds_the_cuts() -> None:
    versions = Scenes(ScenesParams()).cache_params()["versions"]
    assert {"libavcodec", "scenedetect", "opencv"} <= set(versions)
