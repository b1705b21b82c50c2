"""LatentSync's crop: equal to golden G4."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.faces import alignment
from pipeline.faces.schemas import INSIGHTFACE106

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def matrices() -> dict[str, NDArray[np.float64]]:
    with np.load(GOLDEN / "g4_alignment.npz") as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}


@pytest.fixture(scope="module")
def warped() -> dict[str, NDArray[np.generic]]:
    with np.load(GOLDEN / "g4_warp.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def picture(warped: dict[str, NDArray[np.generic]]) -> NDArray[np.uint8]:
    """The golden's test image: triangle waves and noise in integer arithmetic."""
    y, x, c = np.meshgrid(np.arange(480), np.arange(640), np.arange(3), indexing="ij")

    def wave(k: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.minimum(2 * np.abs(k % 256 - 128), 255)

    noise = np.random.default_rng(5).integers(-16, 17, (480, 640, 3))
    waves = (wave(3 * x + 40 * c) + wave(2 * y + x * y // 64)) // 2
    image = np.clip(waves + noise, 0, 255).astype(np.uint8)
    assert hashlib.sha256(image.tobytes()).hexdigest() == str(warped["image_sha256"])
    return image


@pytest.mark.parametrize(("crop_px", "tolerance"), [(256, 1e-4), (512, 2e-4)])
def test_matrices_are_those_of_the_reference(
    matrices: dict[str, NDArray[np.float64]], crop_px: int, tolerance: float
) -> None:
    ours = np.stack([alignment.similarity(a, crop_px) for a in matrices["landmarks3"]])
    assert np.abs(ours - matrices[f"M_{crop_px}_smooth0"]).max() < tolerance


def test_mirrored_anchors_turn_the_face_and_never_flip_it(
    matrices: dict[str, NDArray[np.float64]],
) -> None:
    ours = alignment.similarity(matrices["landmarks_mirrored"])
    assert np.abs(ours - matrices["M_mirrored_256"]).max() < 1e-4
    assert np.linalg.det(ours[:, :2]) > 0


def test_anchor_groups_of_106_points_are_those_of_the_reference(
    matrices: dict[str, NDArray[np.float64]],
) -> None:
    points = matrices["landmarks106"]
    groups = (INSIGHTFACE106.left_brow, INSIGHTFACE106.right_brow, INSIGHTFACE106.nose)
    ours = np.stack([points[list(group)].mean(axis=0) for group in groups])
    assert np.array_equal(np.round(ours), matrices["anchors3_from_106"])


def test_crop_is_that_of_the_reference_within_one_grey_level(
    warped: dict[str, NDArray[np.generic]], picture: NDArray[np.uint8]
) -> None:
    crop = alignment.warp(picture, warped["M"].astype(np.float64))
    difference = np.abs(crop[::8].astype(int) - warped["face_rows"].astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_outside_of_the_picture_is_grey_127(
    warped: dict[str, NDArray[np.generic]], picture: NDArray[np.uint8]
) -> None:
    crop = alignment.warp(picture, alignment.similarity(warped["outofframe_landmarks"]))
    assert (crop[:4] == 127).all()
    assert (crop[-8:, 128] != 127).any()


def test_a_face_wholly_outside_gives_a_grey_crop(picture: NDArray[np.uint8]) -> None:
    far = np.array([[-900.0, -900.0], [-800.0, -900.0], [-850.0, -840.0]])
    assert (alignment.warp(picture, alignment.similarity(far)) == 127).all()


@pytest.mark.parametrize("crop_px", [256, 512])
def test_stored_matrix_says_where_a_source_pixel_lies_in_the_crop(crop_px: int) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    y, x = np.mgrid[:480, :640]
    spot = np.array([330.25, 251.75])
    picture[...] = (255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 50))[..., None]
    anchors = np.array([[299.0, 220.0], [423.0, 216.0], [362.0, 330.0]])
    canvas = alignment.similarity(anchors, crop_px)
    crop = alignment.warp(picture, canvas, crop_px)[..., 0].astype(np.float64)
    expected = alignment.to_square(canvas, crop_px) @ [*spot, 1.0]
    rows, columns = np.mgrid[:crop_px, :crop_px]
    crop[np.hypot(columns - expected[0], rows - expected[1]) > 0.15 * crop_px] = 0
    centre = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    assert np.abs(centre - expected).max() < 0.1


def test_anchors_land_on_the_stretched_template() -> None:
    anchors = alignment.TEMPLATE * 2.5 + [300, 100]
    square = alignment.to_square(alignment.similarity(anchors), 256)
    placed = anchors @ square[:, :2].T + square[:, 2]
    expected = (alignment.TEMPLATE + 0.5) * [256 / 210, 256 / 280] - 0.5
    assert np.abs(placed - expected).max() < 1e-9


def test_a_large_face_is_averaged_and_does_not_alias() -> None:
    column = (np.arange(1920) % 4 < 2) * 255
    stripes = np.broadcast_to(column[None, :, None], (1080, 1920, 3)).astype(np.uint8)
    anchors = alignment.TEMPLATE * 5 + [300, 20]
    crop = alignment.warp(stripes, alignment.similarity(anchors))
    assert crop[64:192, 64:192].std() < 20
