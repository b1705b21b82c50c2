"""Every face of every shot as one track of landmarks, without cutting a picture.

What `lipforge judge` needs of a video. Memory: the landmarks of the tracks that are open.

Shape suffixes: T frames, L landmarks, 4 = x0, y0, x1, y1.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.tracking import Observation, Tracker, TrackingRules, Update


@dataclass(frozen=True, slots=True, eq=False)
class FaceTrack:
    """One face through consecutive frames of one shot."""

    scene: int
    face: int
    """Number of the track in its video."""
    start_frame: int
    landmarks: NDArray[np.float32]
    """(T, L, 3), pixels of the video."""
    boxes: NDArray[np.float32]
    """(T, 4): the extent of the landmarks."""

    @property
    def end_frame(self) -> int:
        """First frame after the track."""
        return self.start_frame + len(self.landmarks)


def follow_faces(
    frames: Iterable[Frame],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: TrackingRules,
    piece_frames: int,
) -> Iterator[FaceTrack]:
    """Yield every track when it has ended; a long one in pieces of one or two `piece_frames`.

    Args:
        frames: the 25 fps grid from frame 0, (H, W, 3) uint8 RGB.
        shots: [start, end) in frames; they cover the grid without gap, as `find_shots` gives them.
    """
    numbered, first_number = enumerate(frames), 0
    for scene, (start, end) in enumerate(shots):
        tracker, shot = Tracker(backend, rules, first_number), _Shot(scene, piece_frames)
        for index, image in islice(numbered, end - start):
            yield from shot.add(tracker.step(index, image))
        yield from shot.add(tracker.finish())
        first_number = tracker.next_number


@dataclass(slots=True)
class _Shot:
    scene: int
    piece_frames: int
    open: dict[int, list[Observation]] = field(default_factory=dict)

    def add(self, updates: Iterable[Update]) -> Iterator[FaceTrack]:
        for update in updates:
            seen = self.open.setdefault(update.track, [])
            seen.extend(update.observations)
            while len(seen) >= 2 * self.piece_frames:
                yield _track(self.scene, update.track, seen[: self.piece_frames])
                del seen[: self.piece_frames]
            if update.ended:
                yield _track(self.scene, update.track, self.open.pop(update.track))


def _track(scene: int, face: int, seen: Sequence[Observation]) -> FaceTrack:
    return FaceTrack(
        scene,
        face,
        seen[0].frame,
        np.stack([one.points for one in seen]),
        np.array([one.box for one in seen], np.float32),
    )
