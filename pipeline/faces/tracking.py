"""Multi-face tracking within a shot, with sparse detection.

Between detections a track is continued from its own landmarks. The detector runs every
`detect_every_frames`, and while a track is lost: on the first frames, then less often. A lost track
stays open for `max_gap_frames`: a face that reappears near the predicted position with a similar
size continues it, and the frames between are interpolated. Identity is position, size and motion;
there is no face recognition.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.faces import boxes
from pipeline.faces.backend import MIN_SCORE, Detection, FaceBackend, FaceLandmarks, Shown
from pipeline.faces.box import Box
from pipeline.faces.boxes import box_of, longer_side, same_face
from pipeline.faces.looks import Looks
from pipeline.params.curation import FacesParams
from pipeline.tables.rows import FPS

MIN_STEP_IOU = 0.3
"""A smaller overlap from one frame to the next is a jump to something else."""
MAX_SIZE_RATIO = 1.6
GATE_NEAR, GATE_FAR = 0.4, 1.0
"""Gate around the prediction, in face sizes, after no gap and after the longest."""
MAX_PREDICTED_SHIFT = 2.0
"""Limit on the predicted motion in a gap, in face sizes."""
CLEAR_JUMP = 0.1
"""Face sizes by which the older of two collapsed tracks must have jumped more to be dropped."""
VELOCITY_SMOOTHING = 0.5
"""Weight of the latest step in the moving average of the velocity."""
MAX_LOOKS, SETTLED_DEG = 10, 1.0
"""A new face's landmarks are repeated until its roll changes by less, so many times at most."""
SEARCH_FRAMES, SEARCH_EVERY = 6, 3
"""Frames after its last sight in which the detector always looks for a face, and how often later,
until the longest gap. After more than `max_interpolated_frames` (5) the clip has ended anyway."""
MIN_SIZE_SHARE = 0.8
"""A track ends below this share of min_face_px: hysteresis for faces at the limit."""


@dataclass(frozen=True, slots=True)
class TrackingRules:
    """The tracking parameters of FacesParams, in frames of the 25 fps grid."""

    detect_every_frames: int
    max_gap_frames: int
    min_face_px: float

    @classmethod
    def of(cls, params: FacesParams) -> "TrackingRules":
        """Convert seconds to frames."""
        gap = round(params.max_gap_seconds * FPS)
        return cls(params.detect_every_frames, gap, float(params.min_face_px))


@dataclass(frozen=True, slots=True)
class Observation:
    """One face in one frame."""

    frame: int
    points: NDArray[np.float32]
    """(L, 3), pixels of the frame."""
    score: float
    """0 where interpolated."""
    interpolated: bool = False
    box: Box = field(init=False, compare=False)
    """Extent of the landmarks."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", box_of(self.points))


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """New contiguous observations of one track, and whether it has ended."""

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
        """Return the box at constant velocity."""
        gap = frame - self.last.frame
        limit = MAX_PREDICTED_SHIFT * longer_side(self.box)
        x, y = (max(-limit, min(limit, v * gap)) for v in self.velocity)
        return boxes.shifted(self.box, x, y)

    def accept(self, found: Observation) -> tuple[Observation, ...]:
        """Add the face of a later frame; return the interpolated frames of the gap, then it."""
        bridged = (*interpolate(self.last, found), found)
        gap = found.frame - self.last.frame
        box = found.box
        (x0, y0), (x1, y1) = boxes.centre(self.box), boxes.centre(box)
        old, new, share = self.velocity, ((x1 - x0) / gap, (y1 - y0) / gap), VELOCITY_SMOOTHING
        self.velocity = (
            old[0] + share * (new[0] - old[0]),
            old[1] + share * (new[1] - old[1]),
        )
        self.last, self.box = found, box
        return bridged


def interpolate(before: Observation, after: Observation) -> Iterable[Observation]:
    """Yield the frames between two observations, landmarks interpolated linearly."""
    gap = after.frame - before.frame
    for step in range(1, gap):
        points = before.points + (after.points - before.points) * np.float32(step / gap)
        yield Observation(before.frame + step, points, 0.0, interpolated=True)


class Tracker:
    """Tracks all faces of one shot: `step` for consecutive frames, then `finish`.

    Args:
        backend: finds faces and landmarks.
        rules: sparse detection, gap and size.
        first_number: number of the first track; numbers run on through the shots of a video.
    """

    def __init__(self, backend: FaceBackend, rules: TrackingRules, first_number: int = 0) -> None:
        self._backend = backend
        self._rules = rules
        self._tracks: list[_Track] = []
        self._steps = 0
        self._looks = Looks()
        self.next_number = first_number

    def step(self, frame: int, image: Shown) -> list[TrackUpdate]:
        """Process one frame; return the updates in order of track number."""
        found = self._continue_tracks(frame, image)
        due = self._steps % self._rules.detect_every_frames == 0
        self._steps += 1
        if due or any(self._searched(frame, track) for track in self._lost(found)):
            self._looks.known = [seen.box for seen in found.values()]
            self._looks.sought = [track.predicted(frame) for track in self._lost(found)]
            self._looks.turn += due
            detections = self._unassigned(self._backend.detect(image, self._looks), found)
            detections = self._reassign_lost(frame, image, detections, found)
            self._start_tracks(frame, image, detections, found)
        return self._updates(frame, found)

    def finish(self) -> list[TrackUpdate]:
        """End every track at the last frame on which its face was found; the next step detects."""
        ended = [TrackUpdate(track.number, (), ended=True) for track in self._tracks]
        self._tracks, self._steps, self._looks = [], 0, Looks()
        return ended

    def _lost(self, found: dict[int, Observation]) -> list[_Track]:
        return [track for track in self._tracks if track.number not in found]

    def _searched(self, frame: int, track: _Track) -> bool:
        """Return whether the detector runs for a lost track: always at first, then less often."""
        gap = frame - track.last.frame
        last_chance = gap == self._rules.max_gap_frames
        return gap <= SEARCH_FRAMES or gap % SEARCH_EVERY == 0 or last_chance

    def _continue_tracks(self, frame: int, image: Shown) -> dict[int, Observation]:
        """Place landmarks from those of each track's last frame; return them by track number."""
        found: dict[int, Observation] = {}
        for track in self._tracks:
            landmarks = self._backend.landmarks(image, track.last.points)
            seen = Observation(frame, landmarks.points, landmarks.score)
            if landmarks.score >= MIN_SCORE and self._plausible(track, seen):
                found[track.number] = seen
        self._drop_collapsed(frame, found)
        return found

    def _plausible(self, track: _Track, seen: Observation) -> bool:
        box = seen.box
        if longer_side(box) < MIN_SIZE_SHARE * self._rules.min_face_px:
            return False
        if seen.frame == track.last.frame + 1:
            return boxes.iou(box, track.box) >= MIN_STEP_IOU
        return self._gated_distance(track, seen.frame, box) <= 1.0

    def _gated_distance(self, track: _Track, frame: int, box: Box) -> float:
        """Return the distance from the prediction in gate widths; > 1 is another face."""
        predicted = track.predicted(frame)
        if boxes.size_ratio(predicted, box) > MAX_SIZE_RATIO:
            return float("inf")
        share = min(1.0, (frame - track.last.frame - 1) / max(1, self._rules.max_gap_frames))
        return boxes.distance(predicted, box) / (GATE_NEAR + share * (GATE_FAR - GATE_NEAR))

    def _drop_collapsed(self, frame: int, found: dict[int, Observation]) -> None:
        """Where two tracks have collapsed onto one face, keep the one that was predicted there."""
        continued = [track for track in self._tracks if track.number in found]
        for i, older in enumerate(continued):
            for younger in continued[i + 1 :]:
                pair = [found.get(older.number), found.get(younger.number)]
                if pair[0] and pair[1] and same_face(pair[0].box, pair[1].box):
                    del found[self._to_drop(frame, older, younger, pair[0].box, pair[1].box)]

    def _to_drop(self, frame: int, older: _Track, younger: _Track, a: Box, b: Box) -> int:
        """Return the number of the track to drop."""
        was_lost = [track.last.frame < frame - 1 for track in (older, younger)]
        if was_lost[0] != was_lost[1]:
            return older.number if was_lost[0] else younger.number
        jumped = boxes.distance(older.predicted(frame), a)
        jumped -= boxes.distance(younger.predicted(frame), b)
        return older.number if jumped > CLEAR_JUMP else younger.number

    def _unassigned(
        self, detections: list[Detection], found: dict[int, Observation]
    ) -> list[Detection]:
        taken = [seen.box for seen in found.values()]
        return [d for d in detections if not any(same_face(d.box, box) for box in taken)]

    def _reassign_lost(
        self,
        frame: int,
        image: Shown,
        detections: list[Detection],
        found: dict[int, Observation],
    ) -> list[Detection]:
        """Assign detections to lost tracks, nearest first; return the remaining ones."""
        lost = self._lost(found)
        pairs = sorted(
            (self._gated_distance(track, frame, d.box), track.number, index)
            for track in lost
            for index, d in enumerate(detections)
        )
        used: set[int] = set()
        for gated, number, index in pairs:
            if gated > 1.0 or number in found or index in used:
                continue
            seen = self._confirm(frame, image, detections[index], found)
            if seen:
                found[number] = seen
                used.add(index)
        return [d for index, d in enumerate(detections) if index not in used]

    def _start_tracks(
        self,
        frame: int,
        image: Shown,
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
        self, frame: int, image: Shown, detection: Detection, found: dict[int, Observation]
    ) -> Observation | None:
        """Place landmarks on a detection; None where they find no face, or one already tracked."""
        landmarks = self._upright(image, self._backend.landmarks(image, detection))
        seen = Observation(frame, landmarks.points, landmarks.score)
        if landmarks.score < MIN_SCORE:
            return None
        known = any(same_face(seen.box, other.box) for other in found.values())
        return None if known else seen

    def _upright(self, image: Shown, first: FaceLandmarks) -> FaceLandmarks:
        """Repeat the landmarks from themselves until the face's roll does not change any more.

        A network that looks at an upright face sees a lying one tilted: its points are turned by a
        part of the way only, and each look from these points goes on from there.
        """
        now = first
        for _ in range(MAX_LOOKS):
            again = self._backend.landmarks(image, now.points)
            if min(now.score, again.score) < MIN_SCORE:
                break
            turned = (self._roll_deg(again) - self._roll_deg(now) + 180) % 360 - 180
            now = again
            if abs(turned) < SETTLED_DEG:
                break
        return now

    def _roll_deg(self, face: FaceLandmarks) -> float:
        (x0, y0), (x1, y1), _ = self._backend.anchors(face.points).tolist()
        return math.degrees(math.atan2(y1 - y0, x1 - x0))

    def _updates(self, frame: int, found: dict[int, Observation]) -> list[TrackUpdate]:
        updates = []
        for track in self._tracks:
            seen = found.get(track.number)
            if seen is not None:
                updates.append(TrackUpdate(track.number, self._observations(track, seen)))
            elif frame - track.last.frame > self._rules.max_gap_frames:
                updates.append(TrackUpdate(track.number, (), ended=True))
        ended = {update.track for update in updates if update.ended}
        self._tracks = [track for track in self._tracks if track.number not in ended]
        return updates

    def _observations(self, track: _Track, seen: Observation) -> tuple[Observation, ...]:
        started_now = track.last is seen
        return (seen,) if started_now else track.accept(seen)


def track_shots(
    frames: Iterable[Shown],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: TrackingRules,
) -> Iterator[tuple[int, TrackUpdate]]:
    """Yield (number of the shot, update) of every face, as soon as it is known.

    Args:
        frames: the 25 fps grid from frame 0, (H, W, 3) uint8 RGB.
        shots: [start, end) in frames, ascending and disjoint, as `find_shots` gives them.
    """
    numbered, first_number, at = enumerate(frames), 0, 0
    for scene, (start, end) in enumerate(shots):
        tracker = Tracker(backend, rules, first_number)
        shown, at = islice(numbered, start - at, end - at), end
        for index, image in shown:
            yield from ((scene, update) for update in tracker.step(index, image))
        yield from ((scene, update) for update in tracker.finish())
        first_number = tracker.next_number
