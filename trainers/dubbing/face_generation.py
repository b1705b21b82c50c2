"""Aligned faces and audio -> aligned faces lip-synced to the audio, in overlapping windows.

Every window starts from the same noise, as in LatentSync, so that with a fixed seed the windows
agree where they overlap; the overlap is a linear cross-fade. A frame does not depend on where a run
was interrupted, and memory does not depend on the length.

Shape suffixes: T frames of an interval, F frames of a window, C = 3 colours, H height, W width.
Source: Li et al., "LatentSync" (2024), inference; docs/dub.md lists what differs.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.pixel_range import to_levels, to_signed
from trainers.dubbing.audio_conditioning import AudioConditioning
from trainers.dubbing.overlapping_windows import (
    BlendedWindow,
    first_window_covering,
    overlapping_windows,
)
from trainers.dubbing.reference_frames import frames_apart
from trainers.frozen.latent_vae import PIXELS_PER_LATENT
from trainers.loop.precision import DTYPES
from trainers.systems.latentsync.bundle import LdmBundle
from trainers.systems.latentsync.losses.noise import shared_noise
from trainers.systems.latentsync.sampling import sample


@dataclass(frozen=True, slots=True, kw_only=True)
class DubOptions:
    """Sampling options of the diffusion model."""

    steps: int = 20
    """Of DDIM; the authors use 20 to 50."""
    guidance: float = 1.5
    """1 is without; the authors use 1 to 3."""
    temperature: float = 1.0
    """Scale of the initial noise. The authors use 1; 0 gives the model's mean prediction: smoother,
    and without the blotches of a barely trained model."""
    overlap_frames: int = 4
    reference: Literal["self", "apart"] = "self"
    """self: the faces themselves, as the authors. apart: another moment of the same face
    (reference_frames.py), for models that would copy the mouth they are shown."""
    seed: int = 1247
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of autocast; `trainers.dubbing.precision` casts the weights beforehand."""


class FaceGenerator(Protocol):
    """Generates the mouths of one window of aligned faces."""

    @property
    def size_px(self) -> int:
        """Edge of the aligned faces."""

    @property
    def frames(self) -> int:
        """Length of every window."""

    def generate(
        self, faces_FCHW: Tensor, start_frame: int, reference_FCHW: Tensor | None = None
    ) -> Tensor:
        """Return the faces (F, 3, H, W) with new mouths, -1 ... 1, on the CPU.

        Args:
            faces_FCHW: `frames` aligned faces, -1 ... 1.
            start_frame: of the first face, in frames of the audio.
            reference_FCHW: as many pictures of the person; None: the faces themselves.
        """


class LdmFaceGenerator:
    """The lip-sync diffusion model; deterministic in its arguments."""

    def __init__(
        self, bundle: LdmBundle, audio: NDArray[np.int16], options: DubOptions | None = None
    ) -> None:
        """Take (N,) int16 mono 16 kHz; sample 0 is at the start of frame 0."""
        self._bundle, self._options = bundle, options or DubOptions()
        self._conditioning = AudioConditioning(bundle.whisper, audio)
        side = bundle.resolution_px // PIXELS_PER_LATENT
        channels = bundle.unet.config.latent_channels
        generator = torch.Generator().manual_seed(self._options.seed)
        noise_B4FHW = shared_noise((1, channels, bundle.frames, side, side), generator)
        self._noise_B4FHW = self._options.temperature * noise_B4FHW

    @property
    def size_px(self) -> int:
        """256 or 512, as the model was trained."""
        return self._bundle.resolution_px

    @property
    def frames(self) -> int:
        """16, as the model was trained."""
        return self._bundle.frames

    def generate(
        self, faces_FCHW: Tensor, start_frame: int, reference_FCHW: Tensor | None = None
    ) -> Tensor:
        """Return the faces (F, 3, H, W) with new mouths, -1 ... 1, on the CPU."""
        device = next(self._bundle.unet.parameters()).device
        audio_FTD = self._conditioning.tokens(start_frame, len(faces_FCHW))
        reference_FCHW = faces_FCHW if reference_FCHW is None else reference_FCHW
        faces_1CFHW, reference_1CFHW = (
            one_FCHW.transpose(0, 1)[None].to(device) for one_FCHW in (faces_FCHW, reference_FCHW)
        )
        dtype = DTYPES.get(self._options.precision)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            generated_1CFHW = sample(
                self._bundle,
                faces_1CFHW,
                reference_1CFHW,
                audio_FTD[None].to(device),
                self._noise_B4FHW.to(device),
                steps=self._options.steps,
                guidance=self._options.guidance,
            )
        return generated_1CFHW[0].transpose(0, 1).float().cpu()


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
        reference: Literal["self", "apart"] = "self",
    ) -> None:
        """Start an interval of consecutive frames of one face.

        Args:
            start_frame: of the interval, in frames of the audio.
            num_frames: length of the interval.
            first: the first wanted frame of the interval, for a resume. What is returned for
                frames before it must not be used.
            reference_THWC: one reference picture per frame of the interval; None: the faces.
            reference: which of the faces, as in `DubOptions`.
        """
        self._generator, self._start_frame = generator, start_frame
        self._reference_THWC, self._apart = reference_THWC, reference == "apart"
        self._num_frames = num_frames
        self._windows = overlapping_windows(num_frames, generator.frames, overlap_frames)
        self._number = first_window_covering(self._windows, first)
        starts = [self._needed(number).start for number in range(len(self._windows))]
        self._needed_from = list(accumulate(reversed(starts), min))[::-1]
        """The frame of the interval that a window or one behind it needs first. A later window may
        look further back: the first ones take their reference from the frames behind them."""
        self.takes_from = self._needed_from[self._number]
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
        self._faces.append(face_HWC)
        finished: list[Tensor] = []
        while self._number < len(self._windows) and self._complete():
            finished += self._generate()
        return finished

    def _complete(self) -> bool:
        return self._faces_from + len(self._faces) >= self._needed(self._number).stop

    def _needed(self, number: int) -> range:
        """Return the span of frames that a window and its reference lie in."""
        window = self._windows[number]
        frames = [window.start, window.end - 1, *self._reference_frames(window)]
        return range(min(frames), max(frames) + 1)

    def _reference_frames(self, window: BlendedWindow) -> Sequence[int]:
        if not self._apart or self._reference_THWC is not None:
            return range(window.start, window.end)
        return frames_apart(window.start, window.end, self._generator.frames, self._num_frames)

    def _generate(self) -> list[Tensor]:
        window = self._windows[self._number]
        faces_FCHW = self._taken(range(window.start, window.end))
        reference_FCHW = None
        if self._reference_THWC is not None:
            reference_FCHW = self._padded(list(self._reference_THWC[window.start : window.end]))
        elif self._apart:
            reference_FCHW = self._taken(self._reference_frames(window))
        generated_FCHW = self._generator.generate(
            faces_FCHW, self._start_frame + window.start, reference_FCHW
        )
        weights = window.weights().tolist()
        for frame, weight in zip(range(window.start, window.end), weights, strict=True):
            if weight > 0:
                part = generated_FCHW[frame - window.start] * weight
                self._sum[frame] = self._sum[frame] + part if frame in self._sum else part
        return self._next_window()

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
            following = self._windows[self._number]
            final = following.fade_start
            while self._faces_from < self._needed_from[self._number]:
                self._faces.popleft()
                self._faces_from += 1
        finished = [self._sum.pop(frame) for frame in range(self._next, final)]
        self._next = final
        return finished


def as_image(face_CHW: Tensor) -> NDArray[np.float32]:
    """Return (H, W, 3) float32, 0 ... 255, clamped, of a face in -1 ... 1."""
    return np.asarray(to_levels(face_CHW).permute(1, 2, 0).contiguous().numpy(), np.float32)


def dub_faces(
    bundle: LdmBundle,
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
        (T, 3, H, W) uint8. Outside of the repaint mask the pixels are those of `frames_TCHW`.

    Raises:
        ValueError: faces and reference differ in shape.
    """
    if reference_TCHW is not None and reference_TCHW.shape != frames_TCHW.shape:
        raise ValueError(f"faces {frames_TCHW.shape} with a reference of {reference_TCHW.shape}")
    options = options or DubOptions()
    generator = LdmFaceGenerator(bundle, audio, options)
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
