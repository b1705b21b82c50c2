"""Aligned face clips from one pass over a video's frames, in constant memory.

Held at any time: the full frames whose crop is not final yet (the radius of the smoothing, up to
the longest gap while a face is lost), and per track the landmarks of the current clip. Its crops
are in a ring buffer of fixed size in a scratch file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.face_track import Extracted, FaceTrack
from pipeline.faces.stretches import StillPictures, TrackFrame
from pipeline.faces.track_buffer import ExtractionRules
from pipeline.faces.tracking import Tracker
from pipeline.media.frames import GridFrame


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
        self._next_number = number
        self._tracks: dict[int, FaceTrack] = {}
        """By the tracker's number; those of the rows run on where a track changes its person."""
        self._images: dict[int, Frame] = {}
        self._faults: dict[int, tuple[bool, bool]] = {}
        """Frame -> (damaged, held), of the frames in `_images`."""

    @property
    def next_number(self) -> int:
        return self._next_number

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
                self._scene, self._new_number, self._backend, self._rules, self._scratch
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
