"""Some frames of a clip as they are in its film, reduced: what lies around the aligned face."""

from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import DecodeError
from pipeline.media.film_picture import as_picture
from pipeline.media.frames import film_frames
from pipeline.quality.text_overlay import Reduced, read_frames, witness_frames
from pipeline.quality.text_reader import LONGER_SIDE
from pipeline.tables.rows import Clip


def samples_of(film: Path, clip: Clip) -> Reduced:
    """Decode the clip's part of its film once, and keep the frames that are looked at.

    Raises:
        DecodeError: the part does not decode as `faces` has seen it.
        MediaError: as `film_frames`.
    """
    witnesses, read = witness_frames(clip.num_frames), set(read_frames(clip.num_frames))
    first, end = clip.start_frame + witnesses[0], clip.start_frame + witnesses[-1] + 1
    wanted, scale = set(witnesses), 1.0
    pictures, lumas = {}, {}
    for number, grid in enumerate(film_frames(film, span=(first, end)), start=witnesses[0]):
        if number not in wanted:
            continue
        shown = as_picture(grid.image)
        height, width = shown.shape[:2]
        scale = min(1.0, LONGER_SIDE / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = np.ascontiguousarray(shown.reduced(size))
        lumas[number] = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if number in read:
            pictures[number] = small
    if len(lumas) < len(witnesses):
        raise DecodeError(f"the film shows {len(lumas)} of {len(witnesses)} frames of the clip")
    return Reduced(scale, pictures, lumas)
