"""Where each face of a video is, frame by frame, and how it is brought to the model's template.

Shots, tracker, landmarks, smoothing and template are those of the curation, so that the network
sees faces aligned as it saw them in training. Nothing but anchors and boxes is kept: 90 bytes a
frame and face.

Shape suffixes: T frames of a track.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.faces import alignment, smoothing
from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.tracking import Observation, Tracker, TrackingRules, TrackUpdate

MAX_BRIDGED_FRAMES = 5
"""Frames in a row that may be painted though the face was not found on them: a blink of the
tracker. In a longer gap something hides the face, and a mouth would be painted on top of it."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceTrace:
    """One face through consecutive frames of one shot."""

    number: int
    """Of the track in its video, from 0: the `face` of `lipforge judge`."""
    scene: int
    start_frame: int
    anchors: NDArray[np.float64]
    """(T, 3, 2) left brow, right brow, nose in pixels of the picture, as found."""
    boxes: NDArray[np.float32]
    """(T, 4) x0, y0, x1, y1 of the landmarks."""
    seen: NDArray[np.bool_]
    """(T,) False where the landmarks are interpolated."""

    @property
    def end_frame(self) -> int:
        """First frame after the track."""
        return self.start_frame + len(self.seen)

    @property
    def face_px(self) -> float:
        """Median of the longer side of the landmarks' extent."""
        return float(np.median((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1)))

    @property
    def weight(self) -> float:
        """Area of the face, summed over the frames on which it was found."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float((sides.prod(axis=1) * self.seen).sum())

    def matrices(self, sigma_frames: float, crop_px: int) -> NDArray[np.float64]:
        """Return (T, 2, 3): picture -> canvas, for `alignment.warp`; smoothed as in curation."""
        smoothed = smoothing.smooth(self.anchors, sigma_frames)
        return np.stack([alignment.similarity(anchors, crop_px) for anchors in smoothed])

    def paintable(self) -> NDArray[np.bool_]:
        """Return (T,): found, or in a gap of at most MAX_BRIDGED_FRAMES."""
        edges = np.flatnonzero(np.diff(np.concatenate([[True], self.seen, [True]])))
        answer = self.seen.copy()
        for begin, end in edges.reshape(-1, 2):
            answer[begin:end] = end - begin <= MAX_BRIDGED_FRAMES
        return answer


def trace_faces(
    frames: Iterable[Frame],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: TrackingRules,
) -> list[FaceTrace]:
    """Follow every face of every shot; in order of their numbers.

    Args:
        frames: the 25 fps grid from frame 0, (H, W, 3) uint8 RGB.
        shots: [start, end) in frames; they cover the grid without gap, as `find_shots` gives them.
    """
    numbered, first_number = iter(enumerate(frames)), 0
    traces: list[FaceTrace] = []
    for scene, (start, end) in enumerate(shots):
        tracker, shot = Tracker(backend, rules, first_number), _Shot(scene, backend)
        for index, image in islice(numbered, end - start):
            shot.add(tracker.step(index, image))
        traces += shot.traces()
        first_number = tracker.next_number
    return traces


@dataclass(slots=True)
class _Shot:
    scene: int
    backend: FaceBackend
    tracks: dict[int, "_Track"] = field(default_factory=dict)

    def add(self, updates: Iterable[TrackUpdate]) -> None:
        for update in updates:
            for one in update.observations:
                track = self.tracks.setdefault(update.track, _Track(one.frame))
                track.add(one, self.backend)

    def traces(self) -> list[FaceTrace]:
        return [track.trace(self.scene, number) for number, track in sorted(self.tracks.items())]


@dataclass(slots=True)
class _Track:
    start_frame: int
    anchors: list[NDArray[np.float64]] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)

    def add(self, one: Observation, backend: FaceBackend) -> None:
        self.anchors.append(backend.anchors(one.points))
        self.boxes.append(one.box)
        self.seen.append(not one.interpolated)

    def trace(self, scene: int, number: int) -> FaceTrace:
        return FaceTrace(
            number,
            scene,
            self.start_frame,
            np.stack(self.anchors),
            np.array(self.boxes, np.float32),
            np.array(self.seen, np.bool_),
        )
