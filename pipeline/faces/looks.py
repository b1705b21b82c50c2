"""Parts of a picture that need a look less often: where no new face was the last time.

A detector that looks at a large picture in parts sees mostly walls, and the face that is tracked
anyway. After a first look at everything a part is looked at again where a face that was lost may
be, and else in every third turn if it has changed at all.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.box import Box, intersection

BLOCKS = 24
"""Blocks to a side of a part; the smallest face that can be found covers four or more."""
CHANGED = 4.0
"""Mean change of a block, of 0 to 255, from which there may be something new. Standing backgrounds
of compressed films change by 1 to 2; who speaks moves arms and shoulders all the time."""
TURNS = 3
"""In one of so many turns a part that has changed is looked at: a small face that comes into a shot
is found within three turns of the detector, a larger one in the next."""
BORDER = 0.4
"""Around a known face, in its longer side: hair, neck, and what moves with the head."""


class Looks:
    """The parts of one shot in which no face was."""

    def __init__(self) -> None:
        self.known: Sequence[Box] = ()
        """Boxes of the faces that are tracked in the frame that is looked at."""
        self.sought: Sequence[Box] = ()
        """Where faces are searched that were lost."""
        self.turn = 0
        """Counts the regular looks."""
        self._empty: dict[int, NDArray[np.uint8]] = {}

    def needs_look(self, number: int, grey: NDArray[np.uint8], place: Box) -> bool:
        """Return whether a part may show a face that is not known.

        Args:
            number: of the part, the same through the shot.
            grey: the part, (S, S).
            place: the part's box in the frame.
        """
        before = self._empty.get(number)
        if before is None or any(intersection(box, place) > 0 for box in self.sought):
            return True
        turn = (number + self.turn) % TURNS == 0
        return turn and self._change(before, grey, place) >= CHANGED

    def _change(self, before: NDArray[np.uint8], grey: NDArray[np.uint8], place: Box) -> float:
        """Return the largest change of a block in which no known face moves."""
        change = cv2.absdiff(before, grey).astype(np.float32)
        blocks = cv2.resize(change, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
        for box in self.known:
            columns, rows = _covered(box, place)
            blocks[rows, columns] = 0.0
        return float(blocks.max())

    def note(self, number: int, grey: NDArray[np.uint8], empty: bool) -> None:
        """Remember a part, and whether it showed no face but known ones."""
        if empty:
            self._empty[number] = grey
        else:
            self._empty.pop(number, None)


def _covered(box: Box, place: Box) -> tuple[slice, slice]:
    """Return the columns and rows of blocks that lie within a face and its border."""
    border = BORDER * max(box[2] - box[0], box[3] - box[1])
    x, y = BLOCKS / (place[2] - place[0]), BLOCKS / (place[3] - place[1])
    x0, x1 = (box[0] - border - place[0]) * x, (box[2] + border - place[0]) * x
    y0, y1 = (box[1] - border - place[1]) * y, (box[3] + border - place[1]) * y
    return slice(max(0, round(x0)), max(0, round(x1))), slice(max(0, round(y0)), max(0, round(y1)))
