"""What the mouth moves lies inside the hole of the mask that hides it from a lip-sync model."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.demo import moving_skin
from pipeline.demo.articulation import Articulation
from pipeline.demo.motion import Motion, Pose, move
from pipeline.demo.portrait import Framing, Portrait, Sitter, framed
from pipeline.demo.talking_portrait import TalkingPortrait
from pipeline.faces import alignment, smoothing
from pipeline.faces.schemas import MESH468, MESH_LOWER_LIDS, MESH_UPPER_LIDS
from trainers.talking_face.masks import keep_mask

CROP_PX = alignment.BASE_CROP_PX
KEPT = keep_mask(CROP_PX)[0, 0].numpy() > 0.5
POSES = (Pose(), Pose(yaw_deg=7.0, pitch_deg=4.0), Pose(yaw_deg=-7.0, pitch_deg=-4.0))
SHUT = (0.0, 0.0, 0.0, 0.0)
SHAPES = ((1.1, 0.1, 0.0, 0.0), (0.3, -1.0, 0.0, 0.0), (0.4, 0.8, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0))


def mirrored(sitter: Sitter, is_mirrored: bool) -> Portrait:
    return framed(sitter, Framing(480, 360, 115.0, mirrored=is_mirrored))


def held(portrait: Portrait, lips: tuple[float, ...], pose: Pose) -> TalkingPortrait:
    """A head that holds one shape of the lips in one pose, its eyes open."""
    none = np.zeros((1, len(Pose._fields)))
    tracks = [np.full(2, value) for value in lips]
    return TalkingPortrait(
        portrait, Articulation(*tracks), Motion(none, none, none, np.zeros(0), pose)
    )


def aligned(one: TalkingPortrait, anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    crop = alignment.warp(one.render(0.0).image, alignment.similarity(anchors))
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float64)


@pytest.mark.parametrize(("sitter", "is_mirrored"), [("astronaut", False), ("hopper", True)])
def test_pixels_outside_of_the_masks_hole_do_not_know_the_mouth(
    sitter: Sitter, is_mirrored: bool
) -> None:
    portrait = mirrored(sitter, is_mirrored)
    for pose in POSES:
        shut = held(portrait, SHUT, pose)
        anchors = MESH468.template_anchors(shut.landmarks(0.0))
        before = aligned(shut, anchors)
        for shape in SHAPES:
            change = np.abs(aligned(held(portrait, shape, pose), anchors) - before)
            assert (change[KEPT] > 3).sum() <= 20
            assert change[~KEPT].max() > 60


@pytest.mark.parametrize("sitter", ["astronaut", "hopper"])
def test_eyes_brows_and_nose_stay_while_the_mouth_moves(sitter: Sitter) -> None:
    portrait = mirrored(sitter, False)
    shut = held(portrait, SHUT, Pose()).landmarks(0.0)
    opened = held(portrait, SHAPES[0], Pose()).landmarks(0.0)
    lids = [i for lid in (*MESH_UPPER_LIDS, *MESH_LOWER_LIDS) for i in lid]
    upper = [*MESH468.rigid, *MESH468.left_brow, *MESH468.right_brow, *MESH468.nose, *lids, 1, 2]
    assert np.array_equal(shut[upper], opened[upper])
    assert np.linalg.norm(opened[14] - shut[14]) > 0.1 * portrait.scale_px
    assert np.linalg.norm(opened[152] - shut[152]) > 0.05 * portrait.scale_px


@pytest.mark.parametrize("sitter", ["astronaut", "hopper"])
def test_the_outline_lies_well_inside_the_hole(sitter: Sitter) -> None:
    points = mirrored(sitter, False).points
    matrix = alignment.to_square(alignment.similarity(MESH468.template_anchors(points)), CROP_PX)
    placed = moving_skin.outline(points) @ matrix[:, :2].T + matrix[:, 2]
    x, y = np.round(placed).astype(int).T
    from_kept = cv2.distanceTransform((~KEPT).astype(np.uint8), cv2.DIST_L2, 5)
    assert from_kept[y, x].min() > 5


def test_a_head_moves_as_fast_as_a_real_one() -> None:
    """Real clips: anchors smoothed with 1.5 frames are off by 0.8 to 1.6 pixels of the crop."""
    portrait = mirrored("hopper", False)
    still = Articulation(*[np.zeros(2)] * 4)
    off = []
    for seed in range(6):
        one = TalkingPortrait(portrait, still, move(seed, 6.0))
        anchors = MESH468.template_anchors(np.stack([one.landmarks(t / 25) for t in range(150)]))
        steady = smoothing.smooth(anchors, 1.5)
        to_crop = [alignment.to_square(alignment.similarity(a), CROP_PX)[:, :2] for a in steady]
        moved = np.einsum("tij,tj->ti", np.stack(to_crop), (anchors - steady).mean(axis=1))
        off.append(np.sqrt((moved**2).sum(axis=1).mean()))
    assert 0.6 < np.median(off) < 1.6
