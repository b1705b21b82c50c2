import cv2
import numpy as np
import pytest

from pipeline.errors import WeightsError
from pipeline.quality.cover import CoverDetector, cover, outside
from tests.pipeline.quality.talking_face import SIZE, clip_of, nothing, portrait_frames

DETECTOR = CoverDetector()


def grown(lips, share):
    """Return x, y of the middle, and half the width and height of the lips, grown."""
    low, high = lips.min(axis=0), lips.max(axis=0)
    (x, y), (w, h) = (low + high) / 2, (high - low) / 2 * share
    return int(x), int(y), int(w), int(max(h, 0.45 * w))


def box(colour):
    def paint(frame, lips):
        x, y, w, h = grown(lips, 1.4)
        cv2.rectangle(frame, (x - w, y - h), (x + w, y + h), colour, -1)
        return frame

    return paint


def hand(frame, lips):
    x, y, w, h = grown(lips, 1.5)
    skin = frame[y - 2 * h : y - 2 * h + 8, x + w : x + w + 8].reshape(-1, 3).mean(axis=0)
    for finger in range(4):
        at = y - h + finger * h // 2
        tone = (skin * (0.95 - 0.05 * (finger % 2))).tolist()
        cv2.line(frame, (x - w, at), (SIZE, at + 90), (skin * 0.55).tolist(), h // 2 + 8)
        cv2.line(frame, (x - w, at), (SIZE, at + 90), tone, h // 2 + 2)
    return frame


def microphone(frame, lips):
    x, y, w, h = grown(lips, 1.3)
    cv2.line(frame, (x, y), (x + 60, SIZE), (25, 25, 25), w // 2)
    cv2.ellipse(frame, (x, y), (w, int(1.2 * h)), 0, 0, 360, (50, 50, 52), -1)
    return frame


def face_mask(frame, lips):
    x, y, w, h = grown(lips, 2.0)
    corners = [(x - w, y - h), (x, y - int(1.4 * h)), (x + w, y - h), (x + w // 2, y + 2 * h)]
    corners = np.array([*corners, (x - w // 2, y + 2 * h)], np.int32)
    cv2.fillPoly(frame, [corners], (150, 190, 215))
    return frame


def subtitle_bar(frame, lips):
    x, y, _, h = grown(lips, 1.4)
    cv2.rectangle(frame, (0, y - h), (SIZE, y + h), (20, 30, 90), -1)
    cv2.putText(frame, "BREAKING NEWS", (x - 120, y + 8), 0, 1.0, (240, 240, 240), 2)
    return frame


def mosaic(frame, lips):
    x, y, w, h = grown(lips, 1.5)
    part = frame[y - h : y + h, x - w : x + w]
    small = cv2.resize(part, (4, 2), interpolation=cv2.INTER_AREA)
    part[:] = cv2.resize(small, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return frame


def blur(frame, lips):
    x, y, w, h = grown(lips, 1.6)
    frame[y - h : y + h, x - w : x + w] = cv2.GaussianBlur(frame, (0, 0), 18)[
        y - h : y + h, x - w : x + w
    ]
    return frame


COVERS = {
    "black-box": box((0, 0, 0)),
    "white-box": box((255, 255, 255)),
    "green-box": box((30, 160, 60)),
    "skin-box": box((205, 160, 140)),
    "hand": hand,
    "microphone": microphone,
    "face-mask": face_mask,
    "subtitle-bar": subtitle_bar,
    "mosaic": mosaic,
    "blur": blur,
}


def below_the_mouth(paint):
    """Return the same thing painted below the chin."""
    return lambda frame, lips: paint(frame, lips + np.array([0, 3.2 * np.ptp(lips[:, 1]) + 30]))


@pytest.mark.parametrize("sitter", ["astronaut", "hopper"])
@pytest.mark.parametrize(
    ("mirrored", "gain", "face_px"), [(False, 1.0, 170.0), (True, 0.45, 170.0), (False, 1.0, 45.0)]
)
def test_a_mouth_that_opens_and_closes_is_not_covered(sitter, mirrored, gain, face_px):
    frames = portrait_frames(sitter, mirrored, gain, face_px)
    assert cover(*clip_of(frames, nothing), DETECTOR).max() < 0.5


@pytest.mark.parametrize("sitter", ["astronaut", "hopper"])
@pytest.mark.parametrize("paint", COVERS.values(), ids=COVERS)
def test_whatever_lies_over_the_mouth_covers_it(sitter, paint):
    found = cover(*clip_of(portrait_frames(sitter), paint), DETECTOR)
    assert found.min() > 0.5


@pytest.mark.parametrize("paint", [box((0, 0, 0)), subtitle_bar], ids=["box", "subtitle-bar"])
def test_what_lies_below_the_chin_covers_no_mouth(paint):
    found = cover(*clip_of(portrait_frames("astronaut"), below_the_mouth(paint)), DETECTOR)
    assert found.max() < 0.5


@pytest.mark.parametrize(("first", "end"), [(9, 24), (0, 13), (6, 17)])
def test_a_mouth_covered_in_part_of_the_clip_is_covered_in_these_frames(first, end):
    frames = portrait_frames("astronaut")
    found = cover(*clip_of(frames, box((0, 0, 0)), first, end), DETECTOR) > 0.5
    assert np.flatnonzero(found).tolist() == list(range(first, end))


def test_a_mouth_below_the_edge_of_the_frame_is_outside_of_the_picture():
    # the frame ends at the tip of the nose
    frames = portrait_frames("astronaut")
    cut = tuple((image[: int(points[1, 1])], points) for image, points in frames)
    planes, lips = clip_of(cut, nothing)
    assert outside(planes, lips).min() == 1
    assert cover(planes, lips, DETECTOR).min() == 1
    assert outside(*clip_of(frames, nothing)).max() == 0


def test_lips_beyond_the_crop_are_outside_although_the_crop_shows_a_picture():
    planes, lips = clip_of(portrait_frames("astronaut"), nothing)
    assert outside(planes, lips + 1).min() == 1


def test_a_clip_of_one_frame_has_one_value():
    assert cover(*clip_of(portrait_frames("astronaut")[:1], nothing), DETECTOR).shape == (1,)


@pytest.mark.parametrize("content", [None, b"", b"no weights"], ids=["absent", "empty", "other"])
def test_weights_that_cannot_be_used_say_what_to_do(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match="restore it with git"):
        CoverDetector(path)
