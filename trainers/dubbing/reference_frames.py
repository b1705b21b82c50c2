"""Which frames of an interval a window sees as its reference, if not its own.

A model that was trained with a reference from another moment copies the mouth of whatever reference
it gets. So it is shown the window's neighbour: the frames before it, or, at the start of an
interval, those behind it. Only an interval under three windows wraps around, by half of its length.
"""

from collections.abc import Sequence


def frames_apart(start: int, end: int, length: int, num_frames: int) -> Sequence[int]:
    """Return one frame of the interval for each frame start ... end - 1 of a window.

    None of them is the frame that it is the reference of, if the interval has two frames or more;
    windows of their own do not overlap with it.

    Args:
        length: frames of a whole window.
        num_frames: of the interval.
    """
    count = end - start
    if start >= length:
        return range(start - length, start - length + count)
    if start + 2 * length <= num_frames:
        return range(start + length, start + length + count)
    return [(frame + num_frames // 2) % num_frames for frame in range(start, end)]
