"""Aligned face clips from one pass over a video's frames, in constant memory.

Held at any time: the full frames whose crop is not final yet (the radius of the smoothing, up to
the longest gap while a face is lost), and per track the landmarks of the current clip. Its crops
are in a ring buffer of fixed size in a scratch file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.faces.backend import FaceBackend, Shown
from pipeline.faces.face_track import Extracted, FaceTrack
from pipeline.faces.stretches import StillPictures, TrackFrame
from pipeline.faces.track_buffer import ExtractionRules
from pipeline.faces.tracking import Tracker
from pipeline.media.frames import GridFrame

Placed = tuple[int, int, GridFrame]
"""First frame of the shot, number of the frame, frame."""


def extract_clips(
    frames: Iterable[GridFrame],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: ExtractionRules,
    scratch: Path,
    first_frame: int = 0,
) -> Iterator[Extracted]:
    """Track every face of every shot and yield its clips, and what can be in no clip.

    Tracks shorter than the minimum are yielded too: the caller rejects them. While a picture stands
    for longer than the limit nothing is tracked; the tracks before and behind are different ones.

    Args:
        frames: the 25 fps grid from `first_frame` on.
        shots: [start, end) in frames, ascending, disjoint.
        scratch: an empty folder for the ring buffers; nothing is left in it.

    Raises:
        StorageError: scratch cannot be written.
    """
    numbers = Numbers([start for start, _ in shots])
    for one in extract_placed(in_shots(frames, shots, first_frame), backend, rules, scratch):
        scene, track = numbers.of(one.scene, one.track)
        yield replace(one, scene=scene, track=track)


class Numbers:
    """Numbers shots and tracks through a film, from shots that are named by their first frame."""

    def __init__(self, starts: Sequence[int]) -> None:
        self._scenes = {start: scene for scene, start in enumerate(starts)}
        self._shot = -1
        self._first = self._next = 0

    def of(self, shot: int, track: int) -> tuple[int, int]:
        """Return (scene, track) of the film; the calls come shot after shot.

        Args:
            shot: its first frame.
            track: number in the shot, from 0.
        """
        if shot != self._shot:
            self._shot, self._first = shot, self._next
        number = self._first + track
        self._next = max(self._next, number + 1)
        return self._scenes[shot], number


def in_shots(
    frames: Iterable[GridFrame], shots: Sequence[tuple[int, int]], first_frame: int = 0
) -> Iterator[Placed]:
    """Yield the frames that lie in a shot; what is behind the last one is not read."""
    remaining = iter(shots)
    start, end = next(remaining, (0, 0))
    for index, frame in enumerate(frames, first_frame):
        if index >= end:
            start, end = next(remaining, (0, 0))
            if end == 0:
                return
        if index >= start:
            yield start, index, frame


def extract_placed(
    frames: Iterable[Placed], backend: FaceBackend, rules: ExtractionRules, scratch: Path
) -> Iterator[Extracted]:
    """As `extract_clips`, but `scene` is the first frame of the shot, `track` counts within it."""
    shot: _ShotExtraction | None = None
    try:
        for start, index, frame in frames:
            if shot and start != shot.start:
                yield from shot.finish()
                shot = None
            shot = shot or _ShotExtraction(start, backend, rules, scratch)
            yield from shot.step(index, frame)
        if shot:
            yield from shot.finish()
    finally:
        if shot:
            shot.close()


class _ShotExtraction:
    """The open tracks of one shot, and the full frames that are still needed."""

    def __init__(
        self, start: int, backend: FaceBackend, rules: ExtractionRules, scratch: Path
    ) -> None:
        self.start, self._backend, self._rules, self._scratch = start, backend, rules, scratch
        self._tracker = Tracker(backend, rules.tracking)
        self._still = StillPictures()
        self._stands = False
        self._next_number = 0
        self._tracks: dict[int, FaceTrack] = {}
        """By the tracker's number; those of the rows run on where a track changes its person."""
        self._images: dict[int, Shown] = {}
        self._faults: dict[int, tuple[bool, bool]] = {}
        """Shown -> (damaged, held), of the frames in `_images`."""

    def step(self, index: int, frame: GridFrame) -> Iterator[Extracted]:
        held = self._still.count(frame)
        if held > self._rules.limits.held:
            yield from self._stand_still(index, frame)
            return
        if self._stands:
            yield from self._end_all()
        self._images[index] = frame.image
        self._faults[index] = frame.damaged, held > 0
        for update in self._tracker.step(index, frame.image):
            track = self._track(update.track)
            for seen in update.observations:
                yield from track.add(TrackFrame(seen, *self._faults[seen.frame]), self._images)
            if update.ended:
                yield from self._end(update.track)
        self._drop_images(index)

    def finish(self) -> Iterator[Extracted]:
        self._tracker.finish()
        yield from self._end_all()

    def close(self) -> None:
        for track in self._tracks.values():
            track.close()

    def _stand_still(self, index: int, frame: GridFrame) -> Iterator[Extracted]:
        """Continue the tracks that are seen by the same face on every frame, without a look."""
        self._stands = True
        self._tracker.finish()
        for number, track in list(self._tracks.items()):
            if track.last.seen.frame != index - 1:
                yield from self._end(number)
                continue
            seen = replace(track.last.seen, frame=index)
            yield from track.add(TrackFrame(seen, frame.damaged, held=True), self._images)
        self._drop_images(index)

    def _track(self, number: int) -> FaceTrack:
        if number not in self._tracks:
            self._tracks[number] = FaceTrack(
                self.start, self._new_number, self._backend, self._rules, self._scratch
            )
        return self._tracks[number]

    def _new_number(self) -> int:
        self._next_number += 1
        return self._next_number - 1

    def _end_all(self) -> Iterator[Extracted]:
        self._stands = False
        for number in sorted(self._tracks):
            yield from self._end(number)

    def _end(self, number: int) -> Iterator[Extracted]:
        yield from self._tracks[number].finish(self._images)
        del self._tracks[number]

    def _drop_images(self, index: int) -> None:
        needed = min((track.next_frame for track in self._tracks.values()), default=index + 1)
        for old in [frame for frame in self._images if frame < needed]:
            del self._images[old], self._faults[old]
