"""Lines of text on made-up films: what stays and what moves is known."""

import cv2
import numpy as np
import pytest

from pipeline.faces.schemas import MESH468
from pipeline.quality.text_overlay import (
    READ,
    WITNESSES,
    FaceInCrop,
    Reduced,
    kind_of,
    label_text,
    read_frames,
    witness_frames,
)
from pipeline.quality.text_reader import TextBox
from tests.pipeline.quality.synthetic import CROP, moving, texture, track, with_caption

FRAMES = 100
LINE = TextBox(6.0, 168.0, 232.0, 198.0, "BREAKING NEWS")


def still() -> np.ndarray:
    return np.repeat(texture()[None], FRAMES, axis=0)


def panned(luma: np.ndarray, px_a_frame: float = 1.0) -> np.ndarray:
    return np.stack([np.roll(one, round(n * px_a_frame), axis=1) for n, one in enumerate(luma)])


def lumas(film: np.ndarray) -> dict[int, np.ndarray]:
    return {frame: film[frame].astype(np.uint8) for frame in witness_frames(FRAMES)}


def kind(film: np.ndarray, line: TextBox = LINE, read: int | None = None) -> str:
    frame = read_frames(FRAMES)[1] if read is None else read
    return kind_of(line, frame, [line], lumas(film))


def test_some_frames_are_read_and_more_are_looked_at():
    assert len(read_frames(FRAMES)) == READ
    assert len(witness_frames(FRAMES)) == WITNESSES
    assert set(read_frames(FRAMES)) < set(witness_frames(FRAMES))
    assert read_frames(3) == witness_frames(3) == [0, 1, 2]


def test_text_that_stays_before_a_moving_picture_is_an_overlay():
    assert kind(with_caption(moving(FRAMES))) == "overlay"
    assert kind(with_caption(panned(still()))) == "overlay"


def test_text_that_moves_with_the_picture_is_scenery():
    signed = with_caption(still())
    for speed in (0.3, 1.0, 4.0):
        assert kind(panned(signed, speed), read=witness_frames(FRAMES)[0]) == "scenery"


def test_text_that_stays_in_a_standing_picture_may_be_either():
    assert kind(with_caption(still())) == "still"


def test_text_that_comes_and_goes_in_a_standing_picture_is_an_overlay():
    half = still()
    half[:50] = with_caption(half[:50])
    assert kind(half) == "overlay"


def test_a_sign_behind_which_somebody_walks_away_stays_a_sign():
    """What covers it changes the picture around it as well."""
    walked = with_caption(still())
    for frame in range(60, FRAMES):
        walked[frame, 120:, 0:200] = 90
    assert kind(walked) == "still"


def test_encoder_noise_moves_nothing():
    random = np.random.default_rng(0)
    noisy = np.clip(with_caption(still()) + random.normal(0, 3, (FRAMES, CROP, CROP)), 0, 255)
    assert kind(noisy) == "still"


class _Reads:
    """Stands in for the recognizer: finds the same lines on every picture."""

    def __init__(self, *lines: TextBox) -> None:
        self.lines = list(lines)

    def read(self, picture: np.ndarray) -> list[TextBox]:
        return self.lines


def labels(film: np.ndarray, *lines: TextBox, scale: float = 1.0):
    pictures = Reduced(
        scale,
        {frame: cv2.merge([film[frame].astype(np.uint8)] * 3) for frame in read_frames(FRAMES)},
        lumas(film),
    )
    matrices = np.repeat(np.eye(2, 3)[None] * scale, FRAMES, axis=0)
    face = FaceInCrop(track(MESH468, FRAMES) / scale, matrices, MESH468, CROP)
    return label_text(pictures, _Reads(*lines), face)


def test_no_text_is_zero_and_not_null():
    found = labels(moving(FRAMES))
    assert (found.text_overlay_share, found.text_still_share, found.text_crop_share) == (0, 0, 0)
    assert not found.text_on_mouth


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_overlay_covers_its_share_of_the_crop_and_touches_the_mouth_it_lies_on(scale: float):
    found = labels(with_caption(moving(FRAMES)), LINE, scale=scale)
    area = (LINE.x1 - LINE.x0) * (LINE.y1 - LINE.y0) / CROP**2
    assert found.text_overlay_share == 1.0
    assert found.text_crop_share == pytest.approx(area, abs=0.01)
    assert found.text_on_mouth


def test_an_overlay_above_the_eyes_touches_no_mouth():
    high = TextBox(6.0, 8.0, 232.0, 38.0, "BREAKING NEWS")
    found = labels(with_caption(moving(FRAMES), at=30), high)
    assert found.text_overlay_share == 1.0
    assert not found.text_on_mouth


def test_a_sign_covers_nothing():
    found = labels(with_caption(still()), LINE)
    assert (found.text_overlay_share, found.text_still_share) == (0.0, 1.0)
    assert found.text_crop_share == 0.0
    assert not found.text_on_mouth
