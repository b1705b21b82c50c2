"""Which frames of a track may be in a clip: those of a long run without a real new picture may not.

Three kinds are told apart, each with a limit of its own, measured per run and never as a share:
pictures that are torn (`damaged`), pictures that the file shows again because it has no newer one
(`held`), and frames in which the face was lost and its landmarks are interpolated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.backend import Shown
from pipeline.faces.tracking import Observation
from pipeline.media.film_picture import as_picture
from pipeline.media.frames import GridFrame
from pipeline.params.curation import FacesParams

DAMAGED, STANDING, LOST = "damaged_picture", "standing_picture", "face_lost"
"""The reasons for which a run is left out."""
SAMPLED_SIDE = 180
"""Rows (or columns, if there are fewer) of a picture that are compared, evenly spread."""
BLOCKS = 16
"""A picture is compared with the one before on BLOCKS x BLOCKS blocks."""
STILL = 0.7
"""Mean change of luma below which a block stands still, of 0 to 255. Of eight real clips 50 steps
of 2,000 are below; a still picture encoded again changes more for its first 5 frames only."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """The longest runs that a clip may hold, in frames."""

    damaged: int = 0
    held: int = 5
    interpolated: int = 5

    @classmethod
    def of(cls, params: FacesParams) -> "RunLimits":
        """Read the limits from the parameters."""
        return cls(
            params.max_damaged_frames, params.max_held_frames, params.max_interpolated_frames
        )

    def by_reason(self) -> Mapping[str, int]:
        """Return reason -> longest run."""
        return {DAMAGED: self.damaged, STANDING: self.held, LOST: self.interpolated}


@dataclass(frozen=True, slots=True)
class TrackFrame:
    """One face in one frame, and what is known of the frame's picture."""

    seen: Observation
    damaged: bool = False
    held: bool = False

    def faults(self) -> Mapping[str, bool]:
        """Return reason -> whether it applies."""
        return {DAMAGED: self.damaged, STANDING: self.held, LOST: self.seen.interpolated}


Part = tuple[str, list[TrackFrame]]
"""Consecutive frames and why they are left out; an empty reason where they may be in a clip."""


class TrackStretches:
    """Divides the frames of one track, in order, into usable parts and parts to leave out.

    Frames of a run that is not yet longer than its limit are held back, at most as many as the
    largest limit.
    """

    def __init__(self, limits: RunLimits) -> None:
        self._limits = limits.by_reason()
        self._runs = dict.fromkeys(self._limits, 0)
        self._reason = ""
        self.undecided: list[TrackFrame] = []

    def add(self, frame: TrackFrame) -> Iterator[Part]:
        """Add the next frame; yield the parts that are decided now."""
        faults = frame.faults()
        self._runs = {name: run + 1 if faults[name] else 0 for name, run in self._runs.items()}
        self.undecided.append(frame)
        over = [name for name, run in self._runs.items() if run > self._limits[name]]
        if not over:
            self._reason = ""
            yield from self._usable(max(self._runs.values()))
            return
        if not self._reason:
            self._reason = over[0]
            yield from self._usable(self._runs[over[0]])
        yield self._reason, self.undecided
        self.undecided = []

    def finish(self) -> Iterator[Part]:
        """Yield what was held back."""
        yield from self._usable(0)

    def _usable(self, undecided: int) -> Iterator[Part]:
        """Yield all frames but the last `undecided`."""
        count = max(0, len(self.undecided) - undecided)
        if count:
            yield "", self.undecided[:count]
            del self.undecided[:count]


class StillPictures:
    """Counts for how many frames a film has stood still: by its clock or by equal pictures."""

    def __init__(self) -> None:
        self._last: object = None
        self._sampled: NDArray[np.uint8] | None = None
        self._count = 0

    def count(self, frame: GridFrame) -> int:
        """Return the number of frames, this one included, since the last new picture."""
        if frame.image is self._last:
            self._count += 1
            return frame.held
        before, self._sampled = self._sampled, _sampled(frame.image)
        self._last = frame.image
        moved = before is None or _moved(before, self._sampled)
        self._count = 0 if moved else self._count + 1
        return max(frame.held, self._count)


def _sampled(image: Shown) -> NDArray[np.uint8]:
    step = max(1, min(image.shape[:2]) // SAMPLED_SIDE)
    return as_picture(image).sampled(step)


def _moved(last: NDArray[np.uint8], now: NDArray[np.uint8]) -> bool:
    change = cv2.absdiff(last, now)
    if max(cv2.mean(change)) >= STILL:  # then a block changes by as much
        return True
    change = change.astype(np.float32)
    blocks = cv2.resize(change, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA)
    return float(blocks.max()) >= STILL
