"""Every face of a shot its own track, frame by frame, with the detector run sparsely.

Between detections a live track follows its own landmarks. The detector runs every
`detect_every_frames`, and on every frame on which a track is in doubt. A track that loses its face
waits `max_gap_frames` for it: what comes back near its predicted place with its size is the same
face, and the frames between are interpolated. Identity is place, size and motion; there is no
face recognition.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.faces import boxes
from pipeline.faces.backend import (
    MIN_SCORE,
    Box,
    Detection,
    FaceBackend,
    FaceLandmarks,
    Frame,
)
from pipeline.faces.boxes import box_of, longer_side, same_face

MIN_FOLLOW_IOU = 0.3
"""Less overlap from one frame to the next is a jump to something else."""
MAX_SIZE_RATIO = 1.6
GATE_NEAR, GATE_FAR = 0.4, 1.0
"""How far, in face sizes, a face may be from its prediction after no gap and after the longest."""
MAX_DRIFT = 2.0
"""Most that a prediction moves in a gap, in face sizes."""
CLEAR_SURPRISE = 0.1
"""Face sizes by which one of two collapsed tracks must have jumped more to be the one at fault."""
VELOCITY_SHARE = 0.5
SHRUNK = 0.8
"""A face ends when it is under this share of min_face_px: a face at the limit must not flicker."""


@dataclass(frozen=True, slots=True)
class TrackingRules:
    """The numbers of params.yaml that matter here, in frames of the 25 fps grid."""

    detect_every_frames: int
    max_gap_frames: int
    min_face_px: float


@dataclass(frozen=True, slots=True)
class Observation:
    """One face in one frame."""

    frame: int
    points: NDArray[np.float32]
    """(L, 3), pixels of the frame."""
    score: float
    """0 where interpolated."""
    interpolated: bool = False

    @property
    def box(self) -> Box:
        """Extent of the landmarks."""
        return box_of(self.points)


@dataclass(frozen=True, slots=True)
class Update:
    """What became certain about one track: contiguous observations, perhaps its end."""

    track: int
    observations: tuple[Observation, ...]
    ended: bool = False


@dataclass(slots=True)
class _Track:
    number: int
    last: Observation
    box: Box
    velocity: tuple[float, float] = (0.0, 0.0)
    """Pixels a frame."""

    def predicted(self, frame: int) -> Box:
        """Return where the face would be if it kept its speed."""
        gap = frame - self.last.frame
        limit = MAX_DRIFT * longer_side(self.box)
        x, y = (max(-limit, min(limit, v * gap)) for v in self.velocity)
        return boxes.shifted(self.box, x, y)

    def accept(self, found: Observation) -> tuple[Observation, ...]:
        """Take the face of a later frame; return it after the interpolated frames of the gap."""
        bridged = (*interpolate(self.last, found), found)
        gap = found.frame - self.last.frame
        box = found.box
        (x0, y0), (x1, y1) = boxes.centre(self.box), boxes.centre(box)
        old, new, share = self.velocity, ((x1 - x0) / gap, (y1 - y0) / gap), VELOCITY_SHARE
        self.velocity = (
            old[0] + share * (new[0] - old[0]),
            old[1] + share * (new[1] - old[1]),
        )
        self.last, self.box = found, box
        return bridged


def interpolate(before: Observation, after: Observation) -> Iterable[Observation]:
    """Yield the frames between two observations, landmarks on a straight line."""
    gap = after.frame - before.frame
    for step in range(1, gap):
        points = before.points + (after.points - before.points) * np.float32(step / gap)
        yield Observation(before.frame + step, points, 0.0, interpolated=True)


class Tracker:
    """Follows all faces of one shot. Feed `step` with consecutive frames, then call `finish`.

    Args:
        backend: finds faces and landmarks.
        rules: sparse detection, gap and size.
        first_number: number of the first track, so that a video's tracks are numbered through.
    """

    def __init__(self, backend: FaceBackend, rules: TrackingRules, first_number: int = 0) -> None:
        self._backend = backend
        self._rules = rules
        self._tracks: list[_Track] = []
        self._steps = 0
        self.next_number = first_number

    def step(self, frame: int, image: Frame) -> list[Update]:
        """Look at one frame and return what became certain, in order of track number."""
        found = self._follow(frame, image)
        due = self._steps % self._rules.detect_every_frames == 0
        self._steps += 1
        if due or any(track.number not in found for track in self._tracks):
            detections = self._unexplained(self._backend.detect(image), found)
            detections = self._recover(frame, image, detections, found)
            self._start(frame, image, detections, found)
        return self._updates(frame, found)

    def finish(self) -> list[Update]:
        """End every track at the last frame on which its face was seen."""
        ended = [Update(track.number, (), ended=True) for track in self._tracks]
        self._tracks = []
        return ended

    def _follow(self, frame: int, image: Frame) -> dict[int, Observation]:
        """Let each track look where it was; return what was found, by track number."""
        found: dict[int, Observation] = {}
        for track in self._tracks:
            looked = self._backend.landmarks(image, track.last.points)
            seen = Observation(frame, looked.points, looked.score)
            if looked.score >= MIN_SCORE and self._plausible(track, seen):
                found[track.number] = seen
        self._drop_collapsed(frame, found)
        return found

    def _plausible(self, track: _Track, seen: Observation) -> bool:
        box = seen.box
        if longer_side(box) < SHRUNK * self._rules.min_face_px:
            return False
        if seen.frame == track.last.frame + 1:
            return boxes.iou(box, track.box) >= MIN_FOLLOW_IOU
        return self._surprise(track, seen.frame, box) <= 1.0

    def _surprise(self, track: _Track, frame: int, box: Box) -> float:
        """Return distance from the prediction over what the gap allows; > 1 is another face."""
        predicted = track.predicted(frame)
        if boxes.size_ratio(predicted, box) > MAX_SIZE_RATIO:
            return float("inf")
        share = min(1.0, (frame - track.last.frame - 1) / max(1, self._rules.max_gap_frames))
        return boxes.distance(predicted, box) / (GATE_NEAR + share * (GATE_FAR - GATE_NEAR))

    def _drop_collapsed(self, frame: int, found: dict[int, Observation]) -> None:
        """Where two tracks landed on one face, leave it to the one that was on its way there."""
        looking = [track for track in self._tracks if track.number in found]
        for i, older in enumerate(looking):
            for younger in looking[i + 1 :]:
                pair = [found.get(older.number), found.get(younger.number)]
                if pair[0] and pair[1] and same_face(pair[0].box, pair[1].box):
                    del found[self._intruder(frame, older, younger, pair[0].box, pair[1].box)]

    def _intruder(self, frame: int, older: _Track, younger: _Track, a: Box, b: Box) -> int:
        waits = [track.last.frame < frame - 1 for track in (older, younger)]
        if waits[0] != waits[1]:
            return older.number if waits[0] else younger.number
        jumped = boxes.distance(older.predicted(frame), a)
        jumped -= boxes.distance(younger.predicted(frame), b)
        return older.number if jumped > CLEAR_SURPRISE else younger.number

    def _unexplained(
        self, detections: list[Detection], found: dict[int, Observation]
    ) -> list[Detection]:
        taken = [seen.box for seen in found.values()]
        return [d for d in detections if not any(same_face(d.box, box) for box in taken)]

    def _recover(
        self,
        frame: int,
        image: Frame,
        detections: list[Detection],
        found: dict[int, Observation],
    ) -> list[Detection]:
        """Give detections back to tracks that lost their face; return what is left."""
        lost = [track for track in self._tracks if track.number not in found]
        pairs = sorted(
            (self._surprise(track, frame, d.box), track.number, index)
            for track in lost
            for index, d in enumerate(detections)
        )
        used: set[int] = set()
        for surprise, number, index in pairs:
            if surprise > 1.0 or number in found or index in used:
                continue
            seen = self._confirm(frame, image, detections[index], found)
            if seen:
                found[number] = seen
                used.add(index)
        return [d for index, d in enumerate(detections) if index not in used]

    def _start(
        self,
        frame: int,
        image: Frame,
        detections: list[Detection],
        found: dict[int, Observation],
    ) -> None:
        for detection in detections:
            seen = self._confirm(frame, image, detection, found)
            if seen and longer_side(seen.box) >= self._rules.min_face_px:
                self._tracks.append(_Track(self.next_number, seen, seen.box))
                found[self.next_number] = seen
                self.next_number += 1

    def _confirm(
        self, frame: int, image: Frame, detection: Detection, found: dict[int, Observation]
    ) -> Observation | None:
        """Place landmarks on a detection; None if they say no face, or a face already found."""
        looked: FaceLandmarks = self._backend.landmarks(image, detection)
        seen = Observation(frame, looked.points, looked.score)
        if looked.score < MIN_SCORE:
            return None
        known = any(same_face(seen.box, other.box) for other in found.values())
        return None if known else seen

    def _updates(self, frame: int, found: dict[int, Observation]) -> list[Update]:
        updates = []
        for track in self._tracks:
            seen = found.get(track.number)
            if seen is not None:
                updates.append(Update(track.number, self._take(track, seen)))
            elif frame - track.last.frame > self._rules.max_gap_frames:
                updates.append(Update(track.number, (), ended=True))
        ended = {update.track for update in updates if update.ended}
        self._tracks = [track for track in self._tracks if track.number not in ended]
        return updates

    def _take(self, track: _Track, seen: Observation) -> tuple[Observation, ...]:
        started_now = track.last is seen
        return (seen,) if started_now else track.accept(seen)
