"""Output frames one after another: decoded, cut, painted, pasted. Memory holds two windows."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces import alignment
from pipeline.faces.backend import Frame
from trainers.dubbing.generate import FaceDubber, Painter, as_picture
from trainers.dubbing.paste import Paster
from trainers.dubbing.source import Pictures
from trainers.dubbing.timeline import Run


@dataclass(frozen=True, slots=True)
class Film:
    """All that decides the pictures."""

    pictures: Pictures
    runs: Sequence[Run]
    matrices: Mapping[int, tuple[int, NDArray[np.float64]]]
    """Face -> its first source frame, and (T, 2, 3) canvas matrices from there on."""
    painter: Painter
    crop_px: int
    """Edge of the aligned faces that are cut and pasted; the painter's may be smaller."""
    overlap_frames: int
    sources: NDArray[np.int64]
    """Source frame of each output frame."""

    def matrix(self, run: Run, frame: int) -> NDArray[np.float64]:
        """Return how the run's face is cut out of an output frame."""
        start, matrices = self.matrices[run.face]
        return np.asarray(matrices[self.sources[frame] - start])

    def cut(self, picture: Frame, matrix: NDArray[np.float64]) -> Frame:
        """Return the face as the painter takes it."""
        face = alignment.warp(picture, matrix, self.crop_px)
        size = (self.painter.size_px, self.painter.size_px)
        if face.shape[:2] == size:
            return face
        return np.asarray(cv2.resize(face, size, interpolation=cv2.INTER_AREA), np.uint8)

    def painted(self, face_CHW: Tensor) -> NDArray[np.float32]:
        """Return a painted face, 0 ... 255, as large as it was cut."""
        face, size = as_picture(face_CHW), (self.crop_px, self.crop_px)
        if face.shape[:2] == size:
            return face
        larger = cv2.resize(face, size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(larger, 0, 255), np.float32)


def dubbed_frames(film: Film, first: int = 0) -> Iterator[Frame]:
    """Yield the output frames from `first` to the end, (H, W, 3) uint8 RGB.

    The same frames whatever `first` is: painting begins with the first window that has a say.
    """
    opened = [_open(film, run, first) for run in film.runs if run.end > first]
    begin = min([first, *(one.run.start + one.dubber.begins_at for one in opened)])
    frames = range(begin, len(film.sources))
    pictures = film.pictures.in_order(film.sources[begin:].tolist())
    paster = Paster(film.crop_px)
    waiting: deque[tuple[int, Frame]] = deque()
    for frame, picture in zip(frames, pictures, strict=True):
        waiting.append((frame, picture))
        for one in opened:
            one.take(film, frame, picture)
        while waiting and all(one.is_ready(waiting[0][0]) for one in opened):
            ready, image = waiting.popleft()
            for one in opened:
                image = one.pasted(film, paster, ready, image)
            if ready >= first:
                yield image
        oldest = waiting[0][0] if waiting else frame
        opened = [one for one in opened if one.run.end > oldest]
    assert not waiting, "every frame came out"


@dataclass(slots=True)
class _Painting:
    """One run that is being painted."""

    run: Run
    dubber: FaceDubber
    begin: int
    """The first output frame whose face the dubber takes."""
    done: dict[int, Tensor] = field(default_factory=dict)
    next: int = 0
    """The first output frame whose face has not come back."""

    def take(self, film: Film, frame: int, picture: Frame) -> None:
        if not self.begin <= frame < self.run.end:
            return
        for finished in self.dubber.push(film.cut(picture, film.matrix(self.run, frame))):
            self.done[self.next] = finished
            self.next += 1

    def is_ready(self, frame: int) -> bool:
        outside = frame < self.begin or frame >= self.run.end
        return outside or frame < self.next

    def pasted(self, film: Film, paster: Paster, frame: int, image: Frame) -> Frame:
        face = self.done.pop(frame, None)
        if face is None:
            return image
        return paster.paste(image, film.painted(face), film.matrix(self.run, frame))


def _open(film: Film, run: Run, first: int) -> _Painting:
    wanted = max(0, first - run.start)
    length = run.end - run.start
    dubber = FaceDubber(film.painter, run.start, length, film.overlap_frames, wanted)
    takes_from, gives_from = run.start + dubber.begins_at, run.start + dubber.gives_from
    return _Painting(run, dubber, takes_from, next=gives_from)
