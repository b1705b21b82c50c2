from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.faces.schemas import MESH468
from pipeline.quality.faces_seen import FacesSeen, SeenTracks
from tests.pipeline.quality.synthetic import files_of

CLIP = replace(
    files_of(Path(), "clip", MESH468, 100).clip, start_frame=200, end_frame=300, num_frames=100
)


def row(track: int, start: int, end: int, reason: str = "", video_id: str = "video") -> Any:
    return {
        "video_id": video_id,
        "track": track,
        "start_frame": start,
        "end_frame": end,
        "reason": reason,
    }


OWN = row(0, 200, 300)


@pytest.mark.parametrize(
    ("others", "seen"),
    [
        ([], FacesSeen(1.0, 1)),
        ([row(1, 0, 200), row(2, 300, 400)], FacesSeen(1.0, 1)),
        ([row(1, 290, 900)], FacesSeen(1.0, 2)),
        ([row(1, 0, 260)], FacesSeen(2.0, 2)),
        ([row(1, 0, 250)], FacesSeen(1.5, 2)),
        ([row(1, 100, 1000), row(2, 210, 290), row(3, 299, 300)], FacesSeen(3.0, 3)),
        ([row(1, 220, 240, "track_too_short")], FacesSeen(1.0, 2)),
        ([row(1, 200, 300, "face_lost")], FacesSeen(1.0, 1)),
        ([row(1, 200, 300, video_id="another")], FacesSeen(1.0, 1)),
        ([row(-1, 200, 300, "decode_error")], FacesSeen(1.0, 1)),
    ],
)
def test_faces_are_counted_on_the_frames_of_the_clip(others: list[Any], seen: FacesSeen) -> None:
    assert SeenTracks([*others, OWN]).during(CLIP) == seen
