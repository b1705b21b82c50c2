"""Crops of consecutive frames of one track, and the clips they make up.

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
from pipeline.faces.backend import FaceBackend, Shown
from pipeline.faces.stretches import RunLimits, TrackFrame
from pipeline.faces.tracking import TrackingRules
from pipeline.media.i420 import I420
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
    limits: RunLimits

    @classmethod
    def of(cls, params: FacesParams) -> "ExtractionRules":
        """Convert seconds to frames."""
        return cls(
            TrackingRules.of(params),
            round(params.min_seconds * FPS),
            round(params.max_seconds * FPS),
            params.smooth_sigma_frames,
            params.crop_px,
            RunLimits.of(params),
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
    damaged: NDArray[np.bool_]
    """(T,)"""
    held: NDArray[np.bool_]
    """(T,): the picture is one that was shown before."""
    crops: Iterable[I420]
    """T pictures of crop_px x crop_px."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.scores)

    @property
    def end_frame(self) -> int:
        """First frame after the clip."""
        return self.start_frame + self.num_frames


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """A part of a track that can be in no clip."""

    scene: int
    track: int
    start_frame: int
    frames: list[TrackFrame]
    """At least one."""
    reason: str


class TrackBuffer:
    """Landmarks, guides and crops of consecutive frames of one track since its last clip."""

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
        self._radius = smoothing.steadied_radius(rules.sigma_frames)
        self._ring = _CropRing(
            scratch / f"track-{track}.raw", rules.crop_px, rules.max_frames + rules.min_frames
        )
        self._kept_from = first_frame
        """Frame of the first entry of the two lists below."""
        self._observed: list[TrackFrame] = []
        self._guides: list[NDArray[np.float64]] = []
        self._clip_start = first_frame
        self._matrices: list[NDArray[np.float64]] = []

    @property
    def next_frame(self) -> int:
        """The first frame without a crop."""
        return self._clip_start + len(self._matrices)

    def extend(
        self, frames: Sequence[TrackFrame], ended: bool, images: Mapping[int, Shown]
    ) -> Iterator[FaceClip]:
        """Add frames, render the crops that are final now, yield the clips that are complete."""
        self._observed.extend(frames)
        self._guides.extend(self._backend.guides(one.seen.points) for one in frames)
        final = self._kept_from + len(self._observed) - (0 if ended else self._radius)
        while self.next_frame < final:
            self._render_crop(images[self.next_frame])
            yield from self._complete_clips(ended=False)
        if ended:
            yield from self._complete_clips(ended=True)

    def close(self) -> None:
        """Remove the scratch file."""
        self._ring.close()

    def _render_crop(self, image: Shown) -> None:
        frame = self.next_frame
        near = slice(
            max(0, frame - self._kept_from - self._radius),
            frame - self._kept_from + self._radius + 1,
        )
        at = frame - self._kept_from - near.start
        anchors = smoothing.steadied_at(np.stack(self._guides[near]), at, self._rules.sigma_frames)
        matrix = alignment.similarity(anchors, self._rules.crop_px)
        self._ring.put(frame, alignment.aligned(image, matrix, self._rules.crop_px))
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
        frames = self._observed[start - self._kept_from :][:length]
        seen = [one.seen for one in frames]
        return FaceClip(
            self._scene,
            self._track,
            start,
            np.stack([one.points for one in seen]).astype(np.float32),
            np.stack(self._matrices[:length]),
            np.array([one.score for one in seen], np.float32),
            np.array([one.box for one in seen], np.float32),
            np.array([one.interpolated for one in seen], np.bool_),
            np.array([one.damaged for one in frames], np.bool_),
            np.array([one.held for one in frames], np.bool_),
            self._ring.read(start, length),
        )

    def _drop(self, length: int) -> None:
        self._clip_start += length
        del self._matrices[:length]
        past = max(0, self._clip_start - self._radius - self._kept_from)
        del self._observed[:past], self._guides[:past]
        self._kept_from += past


class _CropRing:
    """The last `capacity` crops of a track, in a file."""

    def __init__(self, path: Path, crop_px: int, capacity: int) -> None:
        self._path, self._shape, self._capacity = path, (crop_px * 3 // 2, crop_px), capacity
        self._bytes = crop_px * crop_px * 3 // 2
        self._file: BinaryIO | None = None

    def put(self, frame: int, crop: I420) -> None:
        try:
            self._file = self._file or self._path.open("w+b")
            self._file.seek(frame % self._capacity * self._bytes)
            self._file.write(np.ascontiguousarray(crop).data)
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error.strerror}") from error

    def read(self, first: int, count: int) -> Iterator[I420]:
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
