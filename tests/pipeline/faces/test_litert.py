"""BlazeFace and Face Mesh on pictures that ship inside packages."""

import dataclasses

import cv2
import numpy as np
import pytest

from pipeline.demo.portrait import Framing, framed
from pipeline.errors import WeightsError
from pipeline.faces.backend import MIN_SCORE, Frame
from pipeline.faces.boxes import box_of, longer_side
from pipeline.faces.litert import LiteRTBackend
from pipeline.faces.open import weights_of
from pipeline.params.curation import FacesParams
from pipeline.weights import files as weights

data = pytest.importorskip("skimage.data", reason="pictures of the demo extra")
LEFT_EYE, RIGHT_EYE, CHIN = (33, 133), (263, 362), 152


@pytest.fixture(scope="module")
def backend() -> LiteRTBackend:
    try:
        weights.fetch()
    except WeightsError as error:
        pytest.skip(str(error))
    cv2.setNumThreads(1)
    return LiteRTBackend()


@pytest.fixture(scope="module")
def portrait() -> Frame:
    return np.ascontiguousarray(data.astronaut()[..., :3])


def turned(image: Frame, degrees: float) -> tuple[Frame, np.ndarray]:
    """Rotate about the middle; return the picture and the 2 x 3 matrix."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height)), np.uint8), matrix


def test_one_face_is_found_once_and_its_landmarks_lie_on_it(
    backend: LiteRTBackend, portrait: Frame
) -> None:
    (found,) = backend.detect(portrait)
    looked = backend.landmarks(portrait, found)
    assert looked.points.shape == (468, 3)
    assert looked.score > 0.99
    left, right = (looked.points[list(eye), :2].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE))
    assert np.abs(left - [204, 101]).max() < 3
    assert np.abs(right - [246, 103]).max() < 3
    assert np.abs(looked.points[CHIN, :2] - [222, 178]).max() < 6


@pytest.mark.parametrize("degrees", [-45, -30, 30, 45])
def test_a_tilted_head_gets_the_landmarks_of_the_upright_one(
    backend: LiteRTBackend, portrait: Frame, degrees: float
) -> None:
    upright = backend.landmarks(portrait, backend.detect(portrait)[0]).points[:, :2]
    image, matrix = turned(portrait, degrees)
    looked = backend.landmarks(image, backend.detect(image)[0])
    expected = upright @ matrix[:, :2].T + matrix[:, 2]
    size = longer_side(box_of(upright))
    assert looked.score > 0.9
    assert np.linalg.norm(looked.points[:, :2] - expected, axis=1).mean() < 0.04 * size


def test_following_from_landmarks_or_a_box_finds_the_same_points(
    backend: LiteRTBackend, portrait: Frame
) -> None:
    first = backend.landmarks(portrait, backend.detect(portrait)[0])
    size = longer_side(box_of(first.points))
    box = np.array(box_of(first.points), np.float32)
    for start in (first.points, first.points + np.float32(0.1 * size), box):
        again = backend.landmarks(portrait, start)
        assert again.score > 0.99
        assert np.linalg.norm(again.points - first.points, axis=1).mean() < 0.04 * size


def test_a_region_without_a_face_has_a_low_score(backend: LiteRTBackend, portrait: Frame) -> None:
    for box in ((0, 300, 120, 420), (380, 20, 500, 140), (-300, -300, -200, -200)):
        assert backend.landmarks(portrait, np.array(box, np.float32)).score < 0.5


def test_a_doubtful_mesh_needs_the_detector_to_see_a_face(
    backend: LiteRTBackend, portrait: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = backend.landmarks(portrait, backend.detect(portrait)[0])
    doubtful = dataclasses.replace(sure, score=0.7)
    monkeypatch.setattr(backend, "_run_mesh", lambda frame, region: doubtful)
    assert backend.landmarks(portrait, sure.points).score == 0.7
    assert backend.landmarks(np.full_like(portrait, 90), sure.points).score == 0.35


def test_a_sure_look_is_not_repeated_while_following(
    backend: LiteRTBackend, portrait: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = backend.landmarks(portrait, backend.detect(portrait)[0])
    looks = []
    monkeypatch.setattr(backend, "_run_mesh", lambda frame, region: looks.append(region) or sure)
    backend.landmarks(portrait, sure.points)
    assert len(looks) == 1


def test_a_small_face_in_a_large_picture_is_found(backend: LiteRTBackend, portrait: Frame) -> None:
    small = cv2.resize(portrait, (320, 320), interpolation=cv2.INTER_AREA)
    for x, y in ((0, 0), (800, 380), (1600, 760)):
        image = np.full((1080, 1920, 3), 90, np.uint8)
        image[y : y + 320, x : x + 320] = small
        scores = [backend.landmarks(image, found).score for found in backend.detect(image)]
        assert max(scores) > 0.9


def placed(
    fill: float, middle: tuple[float, float], degrees: float = 0.0
) -> tuple[Frame, np.ndarray]:
    """Return a 400 x 300 picture whose height the face fills to `fill`, and its landmarks (L, 2).

    Turned about the middle by `degrees`; what lies outside the portrait repeats its edge.
    """
    unit = longer_side(box_of(framed("hopper", Framing(400, 300, 100.0)).points)) / 100
    face = framed("hopper", Framing(400, 300, fill * 300 / unit, middle))
    matrix = cv2.getRotationMatrix2D((200, 150), degrees, 1.0)
    edge = cv2.BORDER_REPLICATE
    image = np.asarray(cv2.warpAffine(face.image, matrix, (400, 300), borderMode=edge), np.uint8)
    return image, face.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize(
    ("fill", "middle", "degrees"),
    [
        (1.25, (0.5, 0.55), 0),
        (1.4, (0.5, 0.55), 0),
        (1.0, (0.2, 0.55), 0),  # 1.0 and less: cut by one border
        (1.0, (0.5, 0.25), 0),
        (1.25, (0.85, 0.5), 0),
        (1.0, (0.5, 0.55), 45),
        (0.75, (0.5, 0.55), 90),
        (0.75, (0.5, 0.55), -90),
        (1.0, (0.5, 0.55), -90),
        (0.5, (0.85, 0.5), 180),
        (0.75, (0.2, 0.55), 180),
    ],
)
def test_a_face_that_fills_the_picture_or_is_cut_or_turned_is_found(
    backend: LiteRTBackend, fill: float, middle: tuple[float, float], degrees: float
) -> None:
    image, expected = placed(fill, middle, degrees)
    looked = [backend.landmarks(image, found) for found in backend.detect(image)]
    best = max(looked, key=lambda one: one.score)
    apart = np.linalg.norm(best.points[:, :2] - expected, axis=1).mean()
    assert best.score > 0.99
    assert apart < 0.05 * longer_side(box_of(expected))


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "coffee", "rocket", "text", "moon"])
def test_textures_and_things_are_no_faces(backend: LiteRTBackend, name: str) -> None:
    picture = getattr(data, name)()
    image = np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture[..., :3]
    for side in (1.0, 0.5):
        size = (round(image.shape[1] * side), round(image.shape[0] * side))
        part = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        scores = [backend.landmarks(part, found).score for found in backend.detect(part)]
        assert max(scores, default=0.0) < MIN_SCORE


def test_an_empty_picture_has_no_face(backend: LiteRTBackend) -> None:
    for shape in ((1080, 1920, 3), (2, 2, 3), (40, 700, 3)):
        assert backend.detect(np.full(shape, 90, np.uint8)) == []


def test_anchors_are_the_picture_s_left_brow_right_brow_and_nose(
    backend: LiteRTBackend, portrait: Frame
) -> None:
    points = backend.landmarks(portrait, backend.detect(portrait)[0]).points
    (left, right, nose) = backend.anchors(points)
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < points[list(LEFT_EYE), 1].mean() < nose[1]
    assert np.array_equal(backend.anchors(np.stack([points, points]))[1], backend.anchors(points))


def test_weights_are_named_with_their_locked_digests(backend: LiteRTBackend) -> None:
    assert backend.weights() == {name: weights.sha256_of(name) for name in backend.weights()}
    assert weights_of(FacesParams()) == backend.weights()


def test_absent_weights_stop_before_any_work(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="lipforge weights fetch"):
        weights_of(FacesParams())
    with pytest.raises(WeightsError, match="lipforge weights fetch"):
        LiteRTBackend()
