"""Aligned face clips from one pass over a video's frames, in constant memory.

Held at any time: the full frames whose crop is not final yet (the radius of the smoothing, up to
the longest gap while a face is lost), and per track the landmarks of the current clip. Its crops
are in a ring buffer of fixed size in a scratch file.

Shapes: T frames of a clip, L landmarks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.faces import alignment, segments, smoothing
from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.tracking import Observation, Tracker, TrackingRules
from pipeline.params.curation import FacesParams
from pipeline.tables.rows import FPS


@dataclass(frozen=True, slots=True)
class ExtractionRules:
    """FacesParams in frames of the 25 fps grid."""

    tracking: TrackingRules
    min_frames: int
    max_frames: int
    sigma_frames: float
    crop_px: int

    @classmethod
    def of(cls, params: FacesParams) -> "ExtractionRules":
        """Convert seconds to frames."""
        return cls(
            TrackingRules.of(params),
            round(params.min_seconds * FPS),
            round(params.max_seconds * FPS),
            params.smooth_sigma_frames,
            params.crop_px,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FaceClip:
    """One clip of one face. `crops` must be read before the next clip is requested."""

    scene: int
    track: int
    start_frame: int
    landmarks: NDArray[np.float32]
    """(T, L, 3) as found, not smoothed: source pixels."""
    matrices: NDArray[np.float64]
    """(T, 2, 3): source pixel -> pixel of the square crop."""
    scores: NDArray[np.float32]
    """(T,), 0 where interpolated."""
    boxes: NDArray[np.float32]
    """(T, 4) x0, y0, x1, y1 of the landmarks."""
    interpolated: NDArray[np.bool_]
    """(T,)"""
    crops: Iterable[Frame]
    """T arrays (crop_px, crop_px, 3) uint8 RGB."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.scores)

    @property
    def end_frame(self) -> int:
        """First frame after the clip."""
        return self.start_frame + self.num_frames


def extract_clips(
    frames: Iterable[Frame],
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    rules: ExtractionRules,
    scratch: Path,
) -> Iterator[FaceClip]:
    """Track every face of every shot and yield its clips.

    Tracks shorter than the minimum are yielded too: the caller rejects them.

    Args:
        frames: the 25 fps grid from frame 0, (H, W, 3) uint8 RGB.
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
        for index, image in enumerate(frames):
            if shot and index >= end:
                yield from shot.finish()
                number, shot = shot.next_number, None
            if index >= end:
                scene, (start, end) = next(remaining, (scene, (0, 0)))
                if end == 0:
                    return
            if index >= start:
                shot = shot or _ShotExtraction(scene, backend, rules, scratch, number)
                yield from shot.step(index, image)
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
        self._buffers: dict[int, _TrackBuffer] = {}
        self._images: dict[int, Frame] = {}

    @property
    def next_number(self) -> int:
        return self._tracker.next_number

    def step(self, index: int, image: Frame) -> Iterator[FaceClip]:
        self._images[index] = image
        for update in self._tracker.step(index, image):
            yield from self._apply(update.track, update.observations, update.ended)
        needed = min((b.next_frame for b in self._buffers.values()), default=index + 1)
        for old in [frame for frame in self._images if frame < needed]:
            del self._images[old]

    def finish(self) -> Iterator[FaceClip]:
        for update in self._tracker.finish():
            yield from self._apply(update.track, update.observations, update.ended)

    def close(self) -> None:
        for buffer in self._buffers.values():
            buffer.close()

    def _apply(
        self, track: int, observations: Sequence[Observation], ended: bool
    ) -> Iterator[FaceClip]:
        if track not in self._buffers:
            first = observations[0].frame
            self._buffers[track] = _TrackBuffer(
                self._scene, track, first, self._backend, self._rules, self._scratch
            )
        buffer = self._buffers[track]
        yield from buffer.extend(observations, ended, self._images)
        if ended:
            buffer.close()
            del self._buffers[track]


class _TrackBuffer:
    """Landmarks, anchors and crops of one track since its last clip."""

    def __init__(
        self,
        scene: int,
        track: int,
        first_frame: int,
        backend: FaceBackend,
        rules: ExtractionRules,
        scratch: Path,
    ) -> None:
        self._scene, self._track, self._backend, self._rules = scene, track, backend, rules
        self._radius = smoothing.radius_frames(rules.sigma_frames)
        self._ring = _CropRing(
            scratch / f"track-{track}.raw", rules.crop_px, rules.max_frames + rules.min_frames
        )
        self._kept_from = first_frame
        """Frame of the first entry of the two lists below."""
        self._observed: list[Observation] = []
        self._anchors: list[NDArray[np.float64]] = []
        self._clip_start = first_frame
        self._matrices: list[NDArray[np.float64]] = []

    @property
    def next_frame(self) -> int:
        """The first frame without a crop."""
        return self._clip_start + len(self._matrices)

    def extend(
        self, observations: Sequence[Observation], ended: bool, images: Mapping[int, Frame]
    ) -> Iterator[FaceClip]:
        """Add frames, render the crops that are final now, yield the clips that are complete."""
        self._observed.extend(observations)
        self._anchors.extend(self._backend.anchors(one.points) for one in observations)
        final = self._kept_from + len(self._observed) - (0 if ended else self._radius)
        while self.next_frame < final:
            self._render_crop(images[self.next_frame])
            yield from self._complete_clips(ended=False)
        if ended:
            yield from self._complete_clips(ended=True)

    def close(self) -> None:
        self._ring.close()

    def _render_crop(self, image: Frame) -> None:
        frame = self.next_frame
        near = slice(
            max(0, frame - self._kept_from - self._radius),
            frame - self._kept_from + self._radius + 1,
        )
        at = frame - self._kept_from - near.start
        anchors = smoothing.smooth_at(np.stack(self._anchors[near]), at, self._rules.sigma_frames)
        matrix = alignment.similarity(anchors, self._rules.crop_px)
        self._ring.put(frame, alignment.warp(image, matrix, self._rules.crop_px))
        self._matrices.append(alignment.to_square(matrix, self._rules.crop_px))

    def _complete_clips(self, ended: bool) -> Iterator[FaceClip]:
        rules = self._rules
        lengths = segments.ready_lengths(
            len(self._matrices), ended, rules.min_frames, rules.max_frames
        )
        for length in lengths:
            yield self._clip(length)
            self._drop(length)

    def _clip(self, length: int) -> FaceClip:
        start = self._clip_start
        seen = self._observed[start - self._kept_from :][:length]
        return FaceClip(
            self._scene,
            self._track,
            start,
            np.stack([one.points for one in seen]).astype(np.float32),
            np.stack(self._matrices[:length]),
            np.array([one.score for one in seen], np.float32),
            np.array([one.box for one in seen], np.float32),
            np.array([one.interpolated for one in seen], np.bool_),
            self._ring.read(start, length),
        )

    def _drop(self, length: int) -> None:
        self._clip_start += length
        del self._matrices[:length]
        past = max(0, self._clip_start - self._radius - self._kept_from)
        del self._observed[:past], self._anchors[:past]
        self._kept_from += past


class _CropRing:
    """The last `capacity` crops of a track, in a file."""

    def __init__(self, path: Path, crop_px: int, capacity: int) -> None:
        self._path, self._shape, self._capacity = path, (crop_px, crop_px, 3), capacity
        self._bytes = crop_px * crop_px * 3
        self._file: BinaryIO | None = None

    def put(self, frame: int, crop: Frame) -> None:
        try:
            self._file = self._file or self._path.open("w+b")
            self._file.seek(frame % self._capacity * self._bytes)
            self._file.write(np.ascontiguousarray(crop).data)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error.strerror}") from error

    def read(self, first: int, count: int) -> Iterator[Frame]:
        for frame in range(first, first + count):
            assert self._file is not None
            self._file.seek(frame % self._capacity * self._bytes)
            stored = np.frombuffer(self._file.read(self._bytes), np.uint8)
            yield stored.reshape(self._shape)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
            self._file = None
