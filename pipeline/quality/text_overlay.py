"""Text that lies over the picture: it stays in its place while the picture around it moves.

A few frames are read (`READ`); on more of them (`WITNESSES`) each line that was found is looked up
by its pixels: whether it is there, in the same place, and whether the picture around it is another.

    overlay   it stays, and the picture around it has changed; or it comes or goes, and the picture
              around it stays: captions, logos, clocks
    still     it stays, and so does the picture around it: an overlay, or a sign
    scenery   it is found elsewhere, or not at all: it moves with what it is printed on

Shapes: T frames of the clip, L landmarks, H x W = reduced picture, B lines of text.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import LandmarkSchema
from pipeline.media.clip_reader import spread_frames
from pipeline.quality.landmarks import Floats
from pipeline.quality.text_reader import TextBox, TextReader

READ, WITNESSES = 4, 12
"""Frames of a clip that are read, and those on which what was read is looked up."""
SAME, GONE, SLIDE = 0.7, 0.55, 0.02
"""Correlation from which a patch shows the same line, and under which it does not."""
SAME_PLACE_PX = 1
CHANGED, UNCHANGED = 0.35, 0.1
"""Share of the picture around a line from which it is another one, and up to which the same."""
CHANGED_LEVELS, RING_BLUR_PX = 10, 1.5
"""A pixel is another when it differs by more levels of luma, after a blur."""
MIN_WITNESSES = 2
"""So many frames must agree: one may be a flash, or a change of the line itself."""

Kind = Literal["overlay", "still", "scenery"]
Luma = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Reduced:
    """Some frames of a clip as they are in the film, reduced."""

    scale: float
    """Reduced pixels per source pixel."""
    read: Mapping[int, NDArray[np.uint8]]
    """Frame of the clip -> (H, W, 3) RGB."""
    witnesses: Mapping[int, Luma]
    """Frame of the clip -> (H, W); those that are read are among them."""


@dataclass(frozen=True, slots=True)
class FaceInCrop:
    """What says where a clip's crop and its lower face are."""

    points: Floats
    """(T, L, C), pixels of the film."""
    matrices: Floats
    """(T, 2, 3): film pixel -> pixel of the crop."""
    schema: LandmarkSchema
    crop_px: int


@dataclass(frozen=True, slots=True)
class TextLabels:
    """What `quality` stores of text."""

    text_overlay_share: float
    text_still_share: float
    text_crop_share: float
    text_on_mouth: bool


def witness_frames(num_frames: int) -> list[int]:
    """Return the frames of a clip that are looked at."""
    return spread_frames(num_frames, WITNESSES)


def read_frames(num_frames: int) -> list[int]:
    """Return those among them that are read."""
    looked = witness_frames(num_frames)
    return [looked[index] for index in spread_frames(len(looked), READ)]


def label_text(pictures: Reduced, reader: TextReader, face: FaceInCrop) -> TextLabels:
    """Read some frames of a clip and say what lies over it.

    Shares are of the frames that were read, but `text_crop_share`: the mean share of the crop's
    area that lies under overlays.
    """
    kinds: list[set[Kind]] = []
    covered, on_mouth = [], False
    for frame, picture in pictures.read.items():
        boxes = reader.read(picture)
        found = [kind_of(box, frame, boxes, pictures.witnesses) for box in boxes]
        over = [box for box, kind in zip(boxes, found, strict=True) if kind == "overlay"]
        text, lower = _masks(over, frame, pictures.scale, face)
        kinds.append(set(found))
        covered.append(float(text.mean()))
        on_mouth |= bool((text & lower).any())
    return TextLabels(
        text_overlay_share=_share("overlay" in one for one in kinds),
        text_still_share=_share("still" in one for one in kinds),
        text_crop_share=float(np.mean(covered)),
        text_on_mouth=on_mouth,
    )


def _share(flags: Iterable[bool]) -> float:
    return float(np.mean(list(flags)))


def kind_of(
    box: TextBox, frame: int, others: Sequence[TextBox], witnesses: Mapping[int, Luma]
) -> Kind:
    """Say what a line that was read on one frame is.

    Args:
        others: all lines on this frame: what lies under them is no picture.
        witnesses: frame -> luma, of equal size; `frame` is among them.
    """
    ring = _ring(box, others, witnesses[frame].shape)
    seen = Counter(
        _seen(box, ring, witnesses[frame], there)
        for number, there in witnesses.items()
        if number != frame
    )
    stays = seen["before another picture"] + seen["before the same picture"]
    if not stays or seen["elsewhere"] > stays:
        return "scenery"
    stands_out = seen["before another picture"] >= min(MIN_WITNESSES, stays)
    return "overlay" if stands_out or seen["vanished"] >= MIN_WITNESSES else "still"


def _seen(box: TextBox, ring: NDArray[np.bool_], here: Luma, there: Luma) -> str:
    """Say what becomes of a line on another frame."""
    likeness, off = _found(box, here, there)
    changed = _changed_share(here, there, ring)
    if likeness >= SAME and off <= SAME_PLACE_PX:
        return "before another picture" if changed >= CHANGED else "before the same picture"
    if likeness >= SAME:
        return "elsewhere"
    return "vanished" if likeness < GONE and changed < UNCHANGED else "unclear"


def _found(box: TextBox, here: Luma, there: Luma) -> tuple[float, int]:
    """Return how like the likest place near a line is on another frame, and by how much it is off.

    (0, 0) for a line of a few pixels.
    """
    x0, y0, x1, y1 = _pixels(box, 0, here.shape)
    reach = max(4, round(0.6 * (y1 - y0)))
    left, top, right, bottom = _pixels(box, reach, here.shape)
    patch, area = here[y0:y1, x0:x1], there[top:bottom, left:right]
    if min(patch.shape) < 4:
        return 0.0, 0
    like = np.nan_to_num(cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED), posinf=0, neginf=0)
    row, column = (int(at) for at in np.unravel_index(int(like.argmax()), like.shape))
    # the same place wins where it is nearly as like: flat letters slide along themselves
    if like[y0 - top, x0 - left] >= like[row, column] - SLIDE:
        return float(like[y0 - top, x0 - left]), 0
    return float(like[row, column]), max(abs(row - (y0 - top)), abs(column - (x0 - left)))


def _ring(box: TextBox, others: Sequence[TextBox], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (H, W) flags of what lies within a line's height around it, and under no line."""
    ring = np.zeros(shape[:2], np.bool_)
    x0, y0, x1, y1 = _pixels(box, max(8, round(box.y1 - box.y0)), shape)
    ring[y0:y1, x0:x1] = True
    for other in (box, *others):
        x0, y0, x1, y1 = _pixels(other, 2, shape)
        ring[y0:y1, x0:x1] = False
    return ring


def _changed_share(here: Luma, there: Luma, ring: NDArray[np.bool_]) -> float:
    """Return which share of the picture around a line is another; 0 where nothing is around it."""
    rows, columns = np.flatnonzero(ring.any(axis=1)), np.flatnonzero(ring.any(axis=0))
    if not rows.size:
        return 0.0
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    soft = [
        cv2.GaussianBlur(one[part].astype(np.float32), (0, 0), RING_BLUR_PX)
        for one in (here, there)
    ]
    return float((np.abs(soft[0] - soft[1])[ring[part]] > CHANGED_LEVELS).mean())


def _pixels(box: TextBox, border: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of a line with a border, within the picture."""
    height, width = shape[:2]
    return (
        max(0, round(box.x0) - border),
        max(0, round(box.y0) - border),
        min(width, round(box.x1) + border),
        min(height, round(box.y1) + border),
    )


def _masks(
    boxes: Sequence[TextBox], frame: int, scale: float, face: FaceInCrop
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what of the crop lies under lines, and the lower face in it: from the nose's tip."""
    matrix, side = face.matrices[frame], face.crop_px
    text, lower = (np.zeros((side, side), np.uint8) for _ in range(2))
    for box in boxes:
        corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1)]
        cv2.fillConvexPoly(text, _polygon(np.array(corners) / scale, matrix), 1)
    points_L2 = face.points[frame, :, :2]
    in_crop = points_L2 @ matrix[:, :2].T + matrix[:, 2]
    below = in_crop[:, 1] >= in_crop[face.schema.nose_tip, 1]
    cv2.fillConvexPoly(lower, cv2.convexHull(_polygon(points_L2[below], matrix)), 1)
    return text.astype(np.bool_), lower.astype(np.bool_)


def _polygon(points_P2: Floats, matrix_23: Floats) -> NDArray[np.int32]:
    in_crop = points_P2 @ matrix_23[:, :2].T + matrix_23[:, 2]
    return np.rint(np.clip(in_crop, -9e3, 9e3)).astype(np.int32)
