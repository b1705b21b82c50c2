"""Every face of every shot as a track of landmarks, without crops.

Used by `lipforge judge`. Memory: the landmarks of the open tracks.

Shape suffixes: T frames, L landmarks, 4 = x0, y0, x1, y1.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.backend import FaceBackend, Shown
from pipeline.faces.tracking import Observation, TrackingRules, track_shots


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkTrack:
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


def track_landmarks(
    frames: Iterable[Shown],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: TrackingRules,
    piece_frames: int,
) -> Iterator[LandmarkTrack]:
    """Yield every track when it ends; a long one in pieces of one or two `piece_frames`.

    Args:
        frames: as in `track_shots`.
        shots: as in `track_shots`.
    """
    open_tracks: dict[int, list[Observation]] = {}
    for scene, update in track_shots(frames, shots, backend, rules):
        observed = open_tracks.setdefault(update.track, [])
        observed.extend(update.observations)
        while len(observed) >= 2 * piece_frames:
            yield _landmark_track(scene, update.track, observed[:piece_frames])
            del observed[:piece_frames]
        if update.ended:
            yield _landmark_track(scene, update.track, open_tracks.pop(update.track))


def _landmark_track(scene: int, face: int, observed: Sequence[Observation]) -> LandmarkTrack:
    return LandmarkTrack(
        scene,
        face,
        observed[0].frame,
        np.stack([one.points for one in observed]),
        np.array([one.box for one in observed], np.float32),
    )
