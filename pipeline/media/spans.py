"""Division of long films into spans of their own, which do not depend on the number of workers.

A span begins and ends at a frame, wherever it lies: shots that go on beyond it are joined again in
the table of scenes, and a face is two tracks there, which costs nothing, since clips are short.
"""

from itertools import pairwise

from pipeline.media.transitions import Span
from pipeline.tables.rows import FPS, Video

SPAN_FRAMES = 75 * FPS
"""A span has at least so many frames, and fewer than twice as many."""
SEEKABLE = frozenset({"mp4", "matroska"})
"""Containers that list their key frames and store presentation times."""
FETCHED_BYTES_PER_S = 1e6
"""A remote film is fetched at this speed at least."""


def reading_s(video: Video, end: int) -> float:
    """Return the seconds within which a film is fetched and decoded up to a grid frame, from its
    beginning if need be.
    """
    return 4 * end / FPS + video.size_bytes / FETCHED_BYTES_PER_S


def spans_of(video: Video) -> list[Span]:
    """Return the spans of a film, [first, end) in frames at 25 fps; one where it must be whole.

    A file without an index of its key frames, or with several clocks, is read from its beginning.
    """
    seekable = SEEKABLE & set(video.container.split(",")) and not video.clock_restarts_s
    count = max(1, video.num_frames // SPAN_FRAMES) if seekable else 1
    edges = [video.num_frames * number // count for number in range(count + 1)]
    return list(pairwise(edges))
