"""Output frames in order: decoded, aligned, generated, pasted. Memory holds two windows."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces import alignment
from pipeline.faces.backend import Frame
from trainers.dubbing.face_generation import FaceDubber, IntervalState, as_image
from trainers.dubbing.frame_source import FrameSource
from trainers.dubbing.paste import Paster
from trainers.dubbing.timeline import FaceInterval
from trainers.talking_face.model import FaceGenerator, ShownFaces

StatesByInterval = Mapping[tuple[int, int], IntervalState]
"""Face and first output frame of an interval -> its state."""


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """Everything that determines the output frames."""

    source: FrameSource
    intervals: Sequence[FaceInterval]
    matrices: Mapping[int, tuple[int, NDArray[np.float64]]]
    """Face -> its first source frame, and (T, 2, 3) canvas matrices from there on."""
    generator: FaceGenerator
    crop_px: int
    """Edge of the aligned faces that are cut and pasted; the generator's may be smaller."""
    overlap_frames: int
    reference: ShownFaces
    soft_mask: NDArray[np.float32]
    """Where a generated face is pasted (paste.py), in the size of the crop."""
    source_frames: NDArray[np.int64]
    """Source frame of each output frame."""

    def matrix(self, interval: FaceInterval, frame: int) -> NDArray[np.float64]:
        """Return the canvas matrix of the interval's face in an output frame."""
        start, matrices = self.matrices[interval.face]
        return np.asarray(matrices[self.source_frames[frame] - start])

    def aligned(self, image: Frame, matrix: NDArray[np.float64]) -> Frame:
        """Return the aligned face in the generator's size."""
        face = alignment.warp(image, matrix, self.crop_px)
        size = (self.generator.size_px, self.generator.size_px)
        if face.shape[:2] == size:
            return face
        return np.asarray(cv2.resize(face, size, interpolation=cv2.INTER_AREA), np.uint8)

    def to_crop_size(self, face_CHW: Tensor) -> NDArray[np.float32]:
        """Return a generated face, 0 ... 255, in the size of the crop."""
        face, size = as_image(face_CHW), (self.crop_px, self.crop_px)
        if face.shape[:2] == size:
            return face
        larger = cv2.resize(face, size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(larger, 0, 255), np.float32)


class FrameRendering:
    """Output frames in order, and what a later run needs to go on behind any of them."""

    def __init__(
        self, plan: RenderPlan, first: int = 0, states: StatesByInterval | None = None
    ) -> None:
        """Begin at an output frame.

        Args:
            first: the first wanted frame.
            states: what `states()` returned when all frames before `first` were taken.
        """
        self._plan, self._first, known = plan, first, states or {}
        self._active = [
            _start(plan, one, first, known.get((one.face, one.start)))
            for one in plan.intervals
            if one.end > first
        ]
        self._next = first

    def frames(self) -> Iterator[Frame]:
        """Yield the output frames from `first` to the end, (H, W, 3) uint8 RGB.

        A frame does not depend on `first`: generation starts at the first window that contains it,
        or, for a model that needs its previous frame, at the interval's state or its start.
        """
        plan, active = self._plan, self._active
        begin = min([self._first, *(one.takes_from for one in active)])
        frames = range(begin, len(plan.source_frames))
        images = plan.source.in_order(plan.source_frames[begin:].tolist())
        paster = Paster(plan.soft_mask)
        waiting: deque[tuple[int, Frame]] = deque()
        for frame, source_image in zip(frames, images, strict=True):
            waiting.append((frame, source_image))
            for one in active:
                one.take(plan, frame, source_image)
            while waiting and all(one.is_ready(waiting[0][0]) for one in active):
                ready, image = waiting.popleft()
                for one in active:
                    image = one.pasted(plan, paster, ready, image)
                if ready >= self._first:
                    self._next = ready + 1
                    yield image
            oldest = waiting[0][0] if waiting else frame
            active = self._active = [one for one in active if one.interval.end > oldest]
        assert not waiting, "every frame was yielded"

    def states(self) -> StatesByInterval:
        """Return what a run that has all frames yielded so far needs, for a model with a memory."""
        found = {
            (one.interval.face, one.interval.start): one.dubber.state_at(
                self._next - one.interval.start
            )
            for one in self._active
        }
        return {key: state for key, state in found.items() if state is not None}


@dataclass(slots=True)
class _ActiveInterval:
    """An interval whose faces are being generated."""

    interval: FaceInterval
    dubber: FaceDubber
    takes_from: int
    """The first output frame whose face goes to the dubber."""
    finished: dict[int, Tensor] = field(default_factory=dict)
    next: int = 0
    """The first output frame whose face is not finished."""

    def take(self, plan: RenderPlan, frame: int, image: Frame) -> None:
        if not self.takes_from <= frame < self.interval.end:
            return
        for face in self.dubber.push(plan.aligned(image, plan.matrix(self.interval, frame))):
            self.finished[self.next] = face
            self.next += 1

    def is_ready(self, frame: int) -> bool:
        outside = frame < self.takes_from or frame >= self.interval.end
        return outside or frame < self.next

    def pasted(self, plan: RenderPlan, paster: Paster, frame: int, image: Frame) -> Frame:
        face = self.finished.pop(frame, None)
        if face is None:
            return image
        self.dubber.state_at(frame + 1 - self.interval.start)  # drops older ones
        return paster.paste(image, plan.to_crop_size(face), plan.matrix(self.interval, frame))


def _start(
    plan: RenderPlan, interval: FaceInterval, first: int, state: IntervalState | None
) -> _ActiveInterval:
    wanted = max(0, first - interval.start)
    length = interval.end - interval.start
    dubber = FaceDubber(
        plan.generator,
        interval.start,
        length,
        plan.overlap_frames,
        wanted,
        reference=plan.reference,
        state=state,
        keep_states=True,
    )
    takes_from, returns_from = (
        interval.start + dubber.takes_from,
        interval.start + dubber.returns_from,
    )
    return _ActiveInterval(interval, dubber, takes_from, next=returns_from)
