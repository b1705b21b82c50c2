"""Aligned faces and audio -> aligned faces lip-synced to the audio, in windows.

Windows overlap and are cross-faded linearly, but for a model that needs its previous frame: there
each begins where the one before ended, and gets the last face that was generated. A frame does not
depend on where a run was interrupted, and memory does not depend on the length.

Shape suffixes: T frames of an interval, F frames of a window, C = 3 colours, H height, W width.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.pixel_range import to_levels, to_signed
from trainers.dubbing.overlapping_windows import (
    BlendedWindow,
    consecutive_windows,
    first_window_covering,
    overlapping_windows,
)
from trainers.dubbing.reference_frames import frames_apart
from trainers.talking_face.model import DubOptions, FaceGenerator, ShownFaces, TalkingFaceModel


@dataclass(frozen=True, slots=True, eq=False)
class IntervalState:
    """What the rest of an interval needs of the part that is done, for a model with a memory."""

    frame: int
    """Of the interval: the first one of the next window."""
    previous: Tensor
    """(3, H, W): the face generated before it, float32, -1 ... 1."""
    first_face: NDArray[np.uint8]
    """(H, W, 3): the interval's first true face."""


class FaceDubber:
    """Takes the faces of one interval one by one; returns the dubbed ones in the same order.

    Memory holds one window and its overlap with the next.
    """

    def __init__(
        self,
        generator: FaceGenerator,
        start_frame: int,
        num_frames: int,
        overlap_frames: int,
        first: int = 0,
        reference_THWC: NDArray[np.uint8] | None = None,
        reference: ShownFaces = "self",
        state: IntervalState | None = None,
        keep_states: bool = False,
    ) -> None:
        """Start an interval of consecutive frames of one face.

        Args:
            start_frame: of the interval, in frames of the audio.
            num_frames: length of the interval.
            first: the first wanted frame of the interval, for a resume. What is returned for
                frames before it must not be used.
            reference_THWC: one reference picture per frame of the interval; None: the faces.
            reference: which of the faces, or of the pictures, as in `DubOptions`.
            state: of this interval at or before `first`, for a generator that needs its previous
                frame; None lets it begin with the interval.
            keep_states: for `state_at`, which then must be called now and then.
        """
        self._generator, self._start_frame = generator, start_frame
        self._reference_THWC, self._reference = reference_THWC, reference
        self._num_frames = num_frames
        if generator.needs_previous:
            self._windows = consecutive_windows(num_frames, generator.frames)
            first = state.frame if state else 0
        else:
            self._windows = overlapping_windows(num_frames, generator.frames, overlap_frames)
        self._number = first_window_covering(self._windows, first)
        self._first_HWC = state.first_face if state else None
        self._previous_CHW = state.previous if state else None
        self._states: deque[IntervalState] = deque([state] if state else [])
        self._keep_states = keep_states
        starts = [self._needed(number).start for number in range(len(self._windows))]
        self._needed_from = list(accumulate(reversed(starts), min))[::-1]
        """The frame of the interval that a window or one behind it needs first. A later window may
        look further back: the first ones take their reference from the frames behind them."""
        self.takes_from = 0 if self._first_is_missing() else self._needed_from[self._number]
        """The frame of the interval whose face `push` takes first."""
        self.returns_from = self._windows[self._number].fade_start
        """The frame of the interval whose dubbed face is returned first."""
        self._faces: deque[NDArray[np.uint8]] = deque()
        self._faces_from = self.takes_from
        """The frame of the interval whose face comes first in `_faces`."""
        self._next = self.returns_from
        self._sum: dict[int, Tensor] = {}

    def push(self, face_HWC: NDArray[np.uint8]) -> list[Tensor]:
        """Add the next face; return the dubbed faces (3, H, W), -1 ... 1, that are now final."""
        if self._first_HWC is None and self._faces_from + len(self._faces) == 0:
            self._first_HWC = face_HWC
        self._faces.append(face_HWC)
        finished: list[Tensor] = []
        while self._number < len(self._windows) and self._complete():
            finished += self._generate()
        self._forget_faces()
        return finished

    def state_at(self, frame: int) -> IntervalState | None:
        """Return from where a run that has all frames before this one goes on; drops older ones.

        None if the generator has no memory, or if the interval begins there.
        """
        while len(self._states) > 1 and self._states[1].frame <= frame:
            self._states.popleft()
        return self._states[0] if self._states and self._states[0].frame <= frame else None

    def _first_is_missing(self) -> bool:
        """Return whether the interval's first face is shown, and not known from a state."""
        shown = self._reference == "first" and self._reference_THWC is None
        return shown and self._first_HWC is None

    def _complete(self) -> bool:
        return self._faces_from + len(self._faces) >= self._needed(self._number).stop

    def _needed(self, number: int) -> range:
        """Return the span of frames that a window and its reference lie in."""
        window = self._windows[number]
        frames = [window.start, window.end - 1, *self._reference_frames(window)]
        return range(min(frames), max(frames) + 1)

    def _reference_frames(self, window: BlendedWindow) -> Sequence[int]:
        if self._reference != "apart" or self._reference_THWC is not None:
            return range(window.start, window.end)
        return frames_apart(window.start, window.end, self._generator.frames, self._num_frames)

    def _generate(self) -> list[Tensor]:
        window = self._windows[self._number]
        faces_FCHW = self._taken(range(window.start, window.end))
        previous_CHW = None
        if self._generator.needs_previous:
            previous_CHW = faces_FCHW[0] if self._previous_CHW is None else self._previous_CHW
        generated_FCHW = self._generator.generate(
            faces_FCHW, self._start_frame + window.start, self._shown(window), previous_CHW
        )
        weights = window.weights().tolist()
        for frame, weight in zip(range(window.start, window.end), weights, strict=True):
            if weight > 0:
                part = generated_FCHW[frame - window.start] * weight
                self._sum[frame] = self._sum[frame] + part if frame in self._sum else part
        if self._generator.needs_previous:
            self._remember(generated_FCHW[window.end - window.start - 1], window.end)
        return self._next_window()

    def _shown(self, window: BlendedWindow) -> Tensor | None:
        """Return the window's reference pictures; None for the faces themselves."""
        if self._reference_THWC is not None:
            first = self._reference == "first"
            frames = [0] * (window.end - window.start) if first else range(window.start, window.end)
            return self._padded([self._reference_THWC[frame] for frame in frames])
        if self._reference == "first":
            assert self._first_HWC is not None, "the interval's first face was pushed first"
            return self._padded([self._first_HWC])
        return self._taken(self._reference_frames(window)) if self._reference == "apart" else None

    def _remember(self, generated_CHW: Tensor, frame: int) -> None:
        assert self._first_HWC is not None, "the interval's first face was pushed first"
        self._previous_CHW = generated_CHW
        if self._keep_states:
            self._states.append(IntervalState(frame, generated_CHW, self._first_HWC))

    def _taken(self, frames: Sequence[int]) -> Tensor:
        return self._padded([self._faces[frame - self._faces_from] for frame in frames])

    def _padded(self, pictures: list[NDArray[np.uint8]]) -> Tensor:
        """Return the pictures of a whole window, -1 ... 1; the last one is repeated."""
        pictures += [pictures[-1]] * (self._generator.frames - len(pictures))
        return to_signed(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2))

    def _next_window(self) -> list[Tensor]:
        self._number += 1
        done = self._windows[self._number - 1]
        if self._number == len(self._windows):
            final = done.end
        else:
            final = self._windows[self._number].fade_start
        finished = [self._sum.pop(frame) for frame in range(self._next, final)]
        self._next = final
        return finished

    def _forget_faces(self) -> None:
        """Drop the faces that no later window needs."""
        if self._number < len(self._windows):
            while self._faces and self._faces_from < self._needed_from[self._number]:
                self._faces.popleft()
                self._faces_from += 1


def as_image(face_CHW: Tensor) -> NDArray[np.float32]:
    """Return (H, W, 3) float32, 0 ... 255, clamped, of a face in -1 ... 1."""
    return np.asarray(to_levels(face_CHW).permute(1, 2, 0).contiguous().numpy(), np.float32)


def dub_faces(
    model: TalkingFaceModel,
    frames_TCHW: NDArray[np.uint8],
    audio: NDArray[np.int16],
    options: DubOptions | None = None,
    reference_TCHW: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Dub aligned faces as stored in shards.

    Args:
        frames_TCHW: RGB, H = W = the model's resolution; T >= 1.
        audio: (T * 640,) mono 16 kHz; sample 0 is at the start of frame 0.
        reference_TCHW: one picture of the person per frame, of the same shape. None takes the
            faces themselves, as LatentSync does: then the mouths to be replaced are visible.

    Returns:
        (T, 3, H, W) uint8. Outside of the model's mask the pixels are those of `frames_TCHW`.

    Raises:
        ValueError: faces and reference differ in shape.
    """
    if reference_TCHW is not None and reference_TCHW.shape != frames_TCHW.shape:
        raise ValueError(f"faces {frames_TCHW.shape} with a reference of {reference_TCHW.shape}")
    options = options or DubOptions()
    generator = model.generator(audio, options)
    reference_THWC = None if reference_TCHW is None else reference_TCHW.transpose(0, 2, 3, 1)
    dubber = FaceDubber(
        generator,
        0,
        len(frames_TCHW),
        options.overlap_frames,
        reference_THWC=reference_THWC,
        reference=options.reference,
    )
    return np.stack(list(_dubbed(dubber, frames_TCHW)))


def _dubbed(dubber: FaceDubber, frames_TCHW: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for frame_CHW in frames_TCHW:
        for face_CHW in dubber.push(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0))):
            image_HWC = np.rint(as_image(face_CHW)).astype(np.uint8)
            yield image_HWC.transpose(2, 0, 1)
