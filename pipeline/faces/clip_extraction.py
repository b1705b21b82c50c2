"""Aligned face clips from one pass over a video's frames, in constant memory.

Held at any time: the full frames whose crop is not final yet (the radius of the smoothing, up to
the longest gap while a face is lost), and per track the landmarks of the current clip. Its crops
are in a ring buffer of fixed size in a scratch file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.stretches import StillPictures, Stretches, TrackFrame
from pipeline.faces.track_buffer import ExtractionRules, FaceClip, LeftOut, TrackBuffer
from pipeline.faces.tracking import Tracker
from pipeline.media.frames import GridFrame

Extracted = FaceClip | LeftOut


def extract_clips(
    frames: Iterable[GridFrame],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: ExtractionRules,
    scratch: Path,
) -> Iterator[Extracted]:
    """Track every face of every shot and yield its clips, and what can be in no clip.

    Tracks shorter than the minimum are yielded too: the caller rejects them. While a picture stands
    for longer than the limit nothing is tracked; the tracks before and behind are different ones.

    Args:
        frames: the 25 fps grid from frame 0.
        shots: [start, end) in frames, ascending, disjoint.
        scratch: an empty folder for the ring buffers; nothing is left in it.

    Raises:
        StorageError: scratch cannot be written.
    """
    remaining = iter(enumerate(shots))
    shot: _ShotExtraction | None = None
    scene, (start, end) = next(remaining, (0, (0, 0)))
    number = 0
    try:
        for index, frame in enumerate(frames):
            if shot and index >= end:
                yield from shot.finish()
                number, shot = shot.next_number, None
            if index >= end:
                scene, (start, end) = next(remaining, (scene, (0, 0)))
                if end == 0:
                    return
            if index >= start:
                shot = shot or _ShotExtraction(scene, backend, rules, scratch, number)
                yield from shot.step(index, frame)
        if shot:
            yield from shot.finish()
    finally:
        if shot:
            shot.close()


class _ShotExtraction:
    """The open tracks of one shot, and the full frames that are still needed."""

    def __init__(
        self, scene: int, backend: FaceBackend, rules: ExtractionRules, scratch: Path, number: int
    ) -> None:
        self._scene, self._backend, self._rules, self._scratch = scene, backend, rules, scratch
        self._tracker = Tracker(backend, rules.tracking, number)
        self._still = StillPictures()
        self._stands = False
        self._tracks: dict[int, _FaceTrack] = {}
        self._images: dict[int, Frame] = {}
        self._faults: dict[int, tuple[bool, bool]] = {}
        """Frame -> (damaged, held), of the frames in `_images`."""

    @property
    def next_number(self) -> int:
        return self._tracker.next_number

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

    def _track(self, number: int) -> "_FaceTrack":
        if number not in self._tracks:
            self._tracks[number] = _FaceTrack(
                self._scene, number, self._backend, self._rules, self._scratch
            )
        return self._tracks[number]

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


class _FaceTrack:
    """One track of the tracker, divided into what can be in clips and what cannot."""

    last: TrackFrame

    def __init__(
        self, scene: int, track: int, backend: FaceBackend, rules: ExtractionRules, scratch: Path
    ) -> None:
        self._scene, self._track, self._backend = scene, track, backend
        self._rules, self._scratch = rules, scratch
        self._stretches = Stretches(rules.limits)
        self._buffer: TrackBuffer | None = None
        self._left_out: LeftOut | None = None

    @property
    def next_frame(self) -> int:
        """The first frame whose picture may still be needed."""
        if self._buffer:
            return self._buffer.next_frame
        undecided = self._stretches.undecided
        return undecided[0].seen.frame if undecided else self.last.seen.frame + 1

    def add(self, frame: TrackFrame, images: Mapping[int, Frame]) -> Iterator[Extracted]:
        self.last = frame
        for reason, part in self._stretches.add(frame):
            yield from self._take(reason, part, images)

    def finish(self, images: Mapping[int, Frame]) -> Iterator[Extracted]:
        for reason, part in self._stretches.finish():
            yield from self._take(reason, part, images)
        yield from self._end_clip(images)
        yield from self._end_left_out()

    def close(self) -> None:
        if self._buffer:
            self._buffer.close()

    def _take(
        self, reason: str, part: Sequence[TrackFrame], images: Mapping[int, Frame]
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

    def _end_clip(self, images: Mapping[int, Frame]) -> Iterator[Extracted]:
        if self._buffer:
            yield from self._buffer.extend((), True, images)
            self._buffer.close()
            self._buffer = None

    def _end_left_out(self) -> Iterator[Extracted]:
        if self._left_out:
            yield self._left_out
            self._left_out = None
