"""Tracks of the faces of a video, with what aligns each frame to the model's template.

Shots, tracker, landmarks, smoothing and template are those of the curation, so that faces are
aligned as in training. Only guides and boxes are kept: 110 bytes per frame and face.

Shape suffixes: T frames of a track.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.faces import alignment, boxes, smoothing
from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.tracking import Observation, TrackingRules, track_shots

MAX_BRIDGED_FRAMES = 5
"""Longest gap of the detector that is dubbed on interpolated landmarks. In a longer one the face is
probably occluded, and the mouth would be drawn over the occluder."""


@dataclass(frozen=True, slots=True, eq=False)
class AlignmentTrack:
    """One face in consecutive frames of one shot."""

    number: int
    """Of the track in its video, from 0: the `face` of `lipforge judge`."""
    scene: int
    start_frame: int
    guides: NDArray[np.float64]
    """(T, 4, 2) left brow, right brow, nose, steady point in pixels of the frame, not smoothed."""
    boxes: NDArray[np.float32]
    """(T, 4) x0, y0, x1, y1 of the landmarks."""
    detected: NDArray[np.bool_]
    """(T,) False where the landmarks are interpolated."""

    @property
    def end_frame(self) -> int:
        """First frame after the track."""
        return self.start_frame + len(self.detected)

    @property
    def face_px(self) -> float:
        """Median of the longer side of the landmarks' extent."""
        return boxes.face_px(self.boxes)

    @property
    def total_area(self) -> float:
        """Area of the face in px^2, summed over the frames with a detection."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float((sides.prod(axis=1) * self.detected).sum())

    def matrices(self, sigma_frames: float, crop_px: int) -> NDArray[np.float64]:
        """Return (T, 2, 3): frame -> canvas, for `alignment.warp`; smoothed as in curation."""
        smoothed = smoothing.steadied(self.guides, sigma_frames)
        return np.stack([alignment.similarity(anchors, crop_px) for anchors in smoothed])

    def usable(self) -> NDArray[np.bool_]:
        """Return (T,): detected, or in a gap of at most MAX_BRIDGED_FRAMES."""
        edges = np.flatnonzero(np.diff(np.concatenate([[True], self.detected, [True]])))
        answer = self.detected.copy()
        for begin, end in edges.reshape(-1, 2):
            answer[begin:end] = end - begin <= MAX_BRIDGED_FRAMES
        return answer


def track_faces(
    frames: Iterable[Frame],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: TrackingRules,
) -> list[AlignmentTrack]:
    """Track every face of every shot; sorted by number.

    Args:
        frames: as in `track_shots`.
        shots: as in `track_shots`.
    """
    tracks: dict[int, _Track] = {}
    for scene, update in track_shots(frames, shots, backend, rules):
        for one in update.observations:
            tracks.setdefault(update.track, _Track(scene, one.frame)).add(one, backend)
    return [track.finished(number) for number, track in sorted(tracks.items())]


@dataclass(slots=True)
class _Track:
    scene: int
    start_frame: int
    guides: list[NDArray[np.float64]] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    detected: list[bool] = field(default_factory=list)

    def add(self, one: Observation, backend: FaceBackend) -> None:
        self.guides.append(backend.guides(one.points))
        self.boxes.append(one.box)
        self.detected.append(not one.interpolated)

    def finished(self, number: int) -> AlignmentTrack:
        return AlignmentTrack(
            number,
            self.scene,
            self.start_frame,
            np.stack(self.guides),
            np.array(self.boxes, np.float32),
            np.array(self.detected, np.bool_),
        )
