"""Frames of a video in the order of the output: forwards, frozen, backwards.

Forwards every frame is decoded once. Backwards, short ranges are decoded from the key frame before
each; containers without an index (MPEG streams, AVI) are decoded from the start for each range.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from pipeline.faces.backend import Frame
from pipeline.media.excerpt import frames_between
from pipeline.media.probe import Probe

BACKWARD_BYTES = 256 * 2**20
"""Most memory for the frames of one range."""
BACKWARD_FRAMES = 50


class FrameSource:
    """Random access to the 25 fps frames of a file, fastest in order."""

    def __init__(self, path: Path, facts: Probe) -> None:
        self._path, self._facts = path, facts
        fitting = BACKWARD_BYTES // max(1, 3 * facts.width * facts.height)
        self._range_frames = max(1, min(BACKWARD_FRAMES, fitting))

    def in_order(self, frames: Iterable[int]) -> Iterator[Frame]:
        """Yield the image of each frame number; read-only.

        Raises:
            DecodeError: a frame does not decode.
        """
        ahead: Iterator[Frame] = iter(())
        at, image, behind = -1, None, dict[int, Frame]()
        for frame in frames:
            if frame == at and image is not None:
                yield image
                continue
            if frame < at:
                if frame not in behind:
                    behind = self._behind(frame)
                image = behind[frame]
            else:
                if frame != at + 1 or image is None or behind:
                    ahead, behind = self._from(frame), {}
                image = next(ahead)
            at = frame
            yield image

    def _from(self, frame: int) -> Iterator[Frame]:
        return frames_between(self._path, self._facts, frame, self._facts.num_frames)

    def _behind(self, frame: int) -> dict[int, Frame]:
        """Return the range that ends with `frame`."""
        start = max(0, frame + 1 - self._range_frames)
        images = islice(
            frames_between(self._path, self._facts, start, frame + 1), frame + 1 - start
        )
        return dict(zip(range(start, frame + 1), images, strict=True))
