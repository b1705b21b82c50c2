"""One track of the tracker, divided into persons, clips and what can be in no clip."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.faces.backend import FaceBackend, Shown
from pipeline.faces.continuity import ContinuityWatch
from pipeline.faces.stretches import TrackFrame, TrackStretches
from pipeline.faces.track_buffer import ExtractionRules, FaceClip, LeftOut, TrackBuffer

Extracted = FaceClip | LeftOut


class FaceTrack:
    """Gives a number of its own to every person of the track."""

    last: TrackFrame
    """The frame that was added last."""

    def __init__(
        self,
        scene: int,
        new_number: Callable[[], int],
        backend: FaceBackend,
        rules: ExtractionRules,
        scratch: Path,
    ) -> None:
        self._scene, self._new_number, self._backend = scene, new_number, backend
        self._rules, self._scratch = rules, scratch
        self._track = new_number()
        self._watch = ContinuityWatch(backend)
        self._stretches = TrackStretches(rules.limits)
        self._buffer: TrackBuffer | None = None
        self._left_out: LeftOut | None = None

    @property
    def next_frame(self) -> int:
        """The first frame whose picture may still be needed."""
        if self._buffer:
            return self._buffer.next_frame
        if self._stretches.undecided:
            return self._stretches.undecided[0].seen.frame
        waiting = self._watch.first_waiting
        return self.last.seen.frame + 1 if waiting is None else waiting

    def add(self, frame: TrackFrame, images: Mapping[int, Shown]) -> Iterator[Extracted]:
        """Add the next frame, seen or interpolated; yield what is complete.

        Args:
            images: frame -> picture from `next_frame` on, but for frames that only stand still.
        """
        self.last = frame
        for one, begins in self._watch.add(frame, images.get(frame.seen.frame)):
            yield from self._pass_on(one, begins, images)

    def finish(self, images: Mapping[int, Shown]) -> Iterator[Extracted]:
        """End the track; yield the rest of it."""
        for one, begins in self._watch.finish():
            yield from self._pass_on(one, begins, images)
        yield from self._end_person(images)

    def close(self) -> None:
        """Remove the scratch file."""
        if self._buffer:
            self._buffer.close()

    def _pass_on(
        self, frame: TrackFrame, begins: bool, images: Mapping[int, Shown]
    ) -> Iterator[Extracted]:
        if begins:
            yield from self._end_person(images)
            self._track, self._stretches = self._new_number(), TrackStretches(self._rules.limits)
        for reason, part in self._stretches.add(frame):
            yield from self._take(reason, part, images)

    def _end_person(self, images: Mapping[int, Shown]) -> Iterator[Extracted]:
        for reason, part in self._stretches.finish():
            yield from self._take(reason, part, images)
        yield from self._end_clip(images)
        yield from self._end_left_out()

    def _take(
        self, reason: str, part: Sequence[TrackFrame], images: Mapping[int, Shown]
    ) -> Iterator[Extracted]:
        if not reason:
            yield from self._end_left_out()
            self._buffer = self._buffer or self._new_buffer(part[0].seen.frame)
            yield from self._buffer.extend(part, False, images)
            return
        yield from self._end_clip(images)
        if self._left_out and self._left_out.reason == reason:
            self._left_out.frames.extend(part)
            return
        yield from self._end_left_out()
        first = part[0].seen.frame
        self._left_out = LeftOut(self._scene, self._track, first, list(part), reason)

    def _new_buffer(self, first_frame: int) -> TrackBuffer:
        return TrackBuffer(
            self._scene, self._track, first_frame, self._backend, self._rules, self._scratch
        )

    def _end_clip(self, images: Mapping[int, Shown]) -> Iterator[Extracted]:
        if self._buffer:
            yield from self._buffer.extend((), True, images)
            self._buffer.close()
            self._buffer = None

    def _end_left_out(self) -> Iterator[Extracted]:
        if self._left_out:
            yield self._left_out
            self._left_out = None
