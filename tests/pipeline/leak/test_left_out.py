"""A leak that is put into tracks is found, and none where there is none."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.faces import alignment, smoothing
from pipeline.faces.schemas import MESH468
from pipeline.leak.geometry import PlacedClip, high_passed, mouth_opening
from pipeline.leak.left_out import LIMIT, GeometryLeak, geometry_leak

FRAMES, SOURCES = 150, 8
COUPLED_PX = 12.0
"""By which the network lifts brows, and pulls the nose, at an opening of 1 eye distance."""


def speaking(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A head that drifts and nods, and a mouth at the rate of syllables: (T, L, 3), (T,)."""
    random = np.random.default_rng(seed)
    time = np.arange(FRAMES) / 25
    opening = np.zeros(FRAMES)
    for hz in random.uniform(2, 6, 3):
        opening += 0.05 * (1 + np.sin(2 * np.pi * hz * time + random.uniform(0, 6)))
    points = np.zeros((FRAMES, 468, 3))
    left, right = MESH468.outer_eye_corners
    points[:, list(MESH468.left_brow), :2] = [-50, -30]
    points[:, list(MESH468.right_brow), :2] = [50, -30]
    points[:, list(MESH468.nose), :2] = [0, 30]
    for corner, x in zip((left, 133, 362, right), (-50, -20, 20, 50), strict=True):
        points[:, corner, 0] = x
    for upper, lower in MESH468.lip_pairs:
        points[:, upper, 1] = 60
        points[:, lower, 1] = 60 + 100 * opening
    for axis in (0, 1):
        head = 3 * np.sin(2 * np.pi * random.uniform(0.5, 2.0) * time + random.uniform(0, 6))
        points[:, :, axis] += 300 + head[:, None]
    return points, opening


def coupled(seed: int) -> np.ndarray:
    """The same face, whose brows and nose the landmark network moves with the mouth."""
    points, opening = speaking(seed)
    for group in (MESH468.left_brow, MESH468.right_brow, MESH468.nose):
        points[:, list(group), 1] -= COUPLED_PX * opening[:, None]
    return points


Faces = Callable[[int], np.ndarray]
Anchors = Callable[[np.ndarray], np.ndarray]


def measured(
    anchors_of: Anchors, points_of: Faces = coupled, sources: int = SOURCES
) -> GeometryLeak | None:
    clips = []
    for seed in range(sources):
        points = points_of(seed)
        matrices = [
            alignment.to_square(alignment.similarity(one), 256) for one in anchors_of(points)
        ]
        clips.append(PlacedClip(f"film {seed}", MESH468, points, np.stack(matrices), 256))
    return geometry_leak(clips)


def by_anchors(points: np.ndarray) -> np.ndarray:
    return smoothing.smooth(MESH468.template_anchors(points), 1.5)


def by_steady_point(points: np.ndarray) -> np.ndarray:
    return smoothing.steadied(MESH468.crop_guides(points), 2.0)


def test_a_crop_whose_anchors_move_with_the_mouth_tells_its_opening() -> None:
    leak = measured(by_anchors)
    assert leak is not None
    assert leak.crop_and_eyes.r2 > 0.9
    assert abs(leak.eyes.r2) < LIMIT
    assert leak.frames == SOURCES * FRAMES
    assert [one.r2 for one in leak.crop.sources] == sorted(
        (one.r2 for one in leak.crop.sources), reverse=True
    )


def test_a_crop_that_follows_the_steady_point_tells_nothing() -> None:
    before, after = measured(by_anchors), measured(by_steady_point)
    assert before is not None
    assert after is not None
    assert after.crop.r2 < LIMIT
    assert after.crop.r2 < before.crop.r2


def test_a_face_that_is_placed_without_error_tells_nothing() -> None:
    leak = measured(by_anchors, lambda seed: speaking(seed)[0])
    assert leak is not None
    assert max(leak.crop.r2, leak.crop_and_eyes.r2, leak.eyes.r2) < LIMIT


def test_eyes_that_the_network_moves_with_the_mouth_are_told_apart_from_the_crop() -> None:
    def lifted(seed: int) -> np.ndarray:
        points, opening = speaking(seed)
        points[:, [133, 362], 1] -= 10 * opening[:, None]
        return points

    leak = measured(by_anchors, lifted)
    assert leak is not None
    assert leak.eyes.r2 > 0.9
    assert leak.crop.r2 < LIMIT


def test_one_source_has_no_honest_figure() -> None:
    assert measured(by_anchors, sources=1) is None


def test_the_high_pass_keeps_syllables_and_takes_the_slow_away() -> None:
    time = np.arange(500) / 25
    slow, fast = np.sin(2 * np.pi * 0.2 * time), np.sin(2 * np.pi * 4 * time)
    middle = slice(50, 450)
    assert np.abs(high_passed(slow)[middle]).max() < 0.04
    assert high_passed(fast)[middle] == pytest.approx(fast[middle], abs=0.01)


def test_the_opening_does_not_change_with_the_size_of_the_face() -> None:
    points, opening = speaking(0)
    assert mouth_opening(MESH468, 3 * points) == pytest.approx(opening, abs=1e-9)
