"""Pictures of a video in the order in which the output shows them: forwards, frozen, backwards.

Forwards it decodes once. Backwards it decodes short stretches from the key frame before them;
containers without an index (MPEG streams, AVI) are decoded from their beginning for each.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from pipeline.faces.backend import Frame
from pipeline.media.excerpt import frames_between
from pipeline.media.probe import Probe

BACKWARD_BYTES = 256 * 2**20
"""Most that the pictures of one stretch take."""
BACKWARD_FRAMES = 50


class Pictures:
    """Random access to the 25 fps frames of a file, cheap in order."""

    def __init__(self, path: Path, facts: Probe) -> None:
        self._path, self._facts = path, facts
        fitting = BACKWARD_BYTES // max(1, 3 * facts.width * facts.height)
        self._stretch = max(1, min(BACKWARD_FRAMES, fitting))

    def in_order(self, frames: Iterable[int]) -> Iterator[Frame]:
        """Yield the picture of each frame; do not change it.

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
        """Return the stretch that ends with `frame`."""
        start = max(0, frame + 1 - self._stretch)
        pictures = islice(
            frames_between(self._path, self._facts, start, frame + 1), frame + 1 - start
        )
        return dict(zip(range(start, frame + 1), pictures, strict=True))
