"""SyncNet's pictures against its geometry written down a second time, the slow way."""

from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import medfilt

from pipeline.judge.syncnet.crops import detector_boxes, render_crops

FRAME = (90, 130)


def frames(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *FRAME, 3), dtype=np.uint8)


def walking_boxes(count: int, x: float, y: float, size: float) -> NDArray[np.float64]:
    """Boxes that move, jitter, change size, and once jump for two frames."""
    rng = np.random.default_rng(1)
    middle = np.array([x, y]) + np.cumsum(rng.normal(0, 1.5, (count, 2)), axis=0)
    half = size / 2 * np.stack([np.linspace(0.7, 0.9, count), np.linspace(1, 1.2, count)], axis=1)
    half *= rng.uniform(0.9, 1.1, (count, 1))
    middle[count // 2 : count // 2 + 2] += 30
    return np.concatenate([middle - half, middle + half], axis=1)


def reference(
    pictures: NDArray[np.uint8], boxes: NDArray[np.float64]
) -> Iterator[NDArray[np.uint8]]:
    """The definition: filter the track, add a grey border to the frame, cut, resize."""
    half = medfilt((boxes[:, 2:] - boxes[:, :2]).max(axis=1) / 2, 13)
    x = medfilt((boxes[:, 0] + boxes[:, 2]) / 2, 13)
    y = medfilt((boxes[:, 1] + boxes[:, 3]) / 2, 13)
    for picture, s, cx, cy in zip(pictures, half, x, y, strict=True):
        pad = int(s * (1 + 2 * 0.4))
        padded = np.pad(picture[..., ::-1], ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
        my, mx = cy + pad, cx + pad
        top, bottom = int(my - s), int(my + s * (1 + 2 * 0.4))
        left, right = int(mx - s * (1 + 0.4)), int(mx + s * (1 + 0.4))
        yield np.asarray(cv2.resize(padded[top:bottom, left:right], (224, 224)), np.uint8)


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [(65, 45, 40), (65, 45, 100), (6, 8, 40), (124, 85, 30), (3, 45, 200), (65, 88, 41.7)],
    ids=["inside", "large", "top left", "bottom right", "larger than the frame", "at the bottom"],
)
def test_crops_are_those_of_the_padded_frame_to_the_pixel(x: float, y: float, size: float) -> None:
    pictures, boxes = frames(40), walking_boxes(40, x, y, size)
    shown = list(render_crops(pictures, boxes))
    for index, wanted in enumerate(reference(pictures, boxes)):
        assert shown[index].shape == (224, 224, 3)
        assert np.array_equal(shown[index], wanted), index


def test_the_first_and_last_six_frames_see_the_filter_s_zeros() -> None:
    boxes = walking_boxes(20, 65, 45, 40)
    boxes[0] += 15  # of frame 0's window 6 of 13 values are zeros: the median is the least real one
    pictures = np.repeat(frames(1), 20, axis=0)
    shown = list(render_crops(pictures, boxes))
    assert np.array_equal(shown[0], next(reference(pictures, boxes)))
    assert (walking_boxes(20, 65, 45, 40)[:7, 0]).min() < boxes[0, 0]


def test_crops_are_blue_green_red() -> None:
    red = np.zeros((20, *FRAME, 3), np.uint8)
    red[..., 0] = 255
    crop = next(render_crops(red, walking_boxes(20, 65, 45, 20)))
    assert crop[112, 112].tolist() == [0, 0, 255]


def test_a_face_far_outside_of_the_frame_is_grey_and_no_crash() -> None:
    for place in (-500.0, 900.0):
        boxes = np.tile([place - 20, place - 20, place + 20, place + 20], (15, 1))
        crops = list(render_crops(frames(15), boxes))
        assert len(crops) == 15
        assert (crops[7] == 110).all()


def test_one_frame_is_read_at_a_time() -> None:
    taken: list[int] = []

    def source() -> Iterator[NDArray[np.uint8]]:
        for number, picture in enumerate(frames(30)):
            taken.append(number)
            yield picture

    list(islice(render_crops(source(), walking_boxes(30, 65, 45, 40)), 3))
    assert taken == [0, 1, 2]


def test_frames_and_boxes_must_be_as_many_and_enough() -> None:
    with pytest.raises(ValueError, match="longer"):
        list(render_crops(frames(10), walking_boxes(11, 65, 45, 40)))
    with pytest.raises(ValueError, match="6 frames"):
        list(render_crops(frames(6), walking_boxes(6, 65, 45, 40)))


def test_a_detector_s_box_is_higher_than_the_landmarks_and_ends_at_the_chin() -> None:
    extent = np.array([[100.0, 200.0, 180.0, 300.0]])
    mesh, sparse = (detector_boxes(extent, schema)[0] for schema in ("mesh468", "insightface106"))
    assert mesh[1] == pytest.approx(200 - 11.7)
    assert sparse[1] == pytest.approx(200 - 33.5)
    assert abs(mesh[3] - 300) < 2
    assert abs(sparse[3] - 300) < 2
    assert (mesh[0] + mesh[2], sparse[0] + sparse[2]) == (280.0, 280.0)


def test_an_unknown_schema_has_no_detector_s_box() -> None:
    with pytest.raises(ValueError, match="dlib68"):
        detector_boxes(np.zeros((1, 4)), "dlib68")


def test_the_detector_s_box_is_met_on_real_faces(shared) -> None:
    from pipeline.faces.boxes import box_of
    from pipeline.faces.insightface import InsightFaceBackend
    from pipeline.media.frames import frames_at_25fps

    root = shared / "weights" / "insightface"
    if not (root / "models" / "buffalo_test").is_dir():
        pytest.skip(f"no InsightFace pack in {root}")
    backend = InsightFaceBackend("buffalo_test", str(root))
    for name in ("grid_brbk7n.mpg", "retalk_face2.mp4", "talkvid_AOC.mp4"):
        frame = next(iter(frames_at_25fps(shared / "clips" / name)))
        found = backend.detect(frame)[0]
        extent = box_of(backend.landmarks(frame, found).points)
        (ours,) = detector_boxes(np.array([extent]), backend.landmark_schema)
        side = max(found.box[2] - found.box[0], found.box[3] - found.box[1])
        assert max(ours[2] - ours[0], ours[3] - ours[1]) == pytest.approx(side, rel=0.15)
        assert np.abs(
            (ours[:2] + ours[2:]) / 2 - np.array(found.box).reshape(2, 2).mean(0)
        ).max() < (0.08 * side)
