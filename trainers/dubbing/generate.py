"""Aligned faces and sound -> aligned faces whose mouths follow the sound, in overlapping windows.

Every window starts from the same noise picture, as in LatentSync: with a fixed seed the windows
agree with each other, and where they meet they fade linearly. So a frame does not depend on where
a run was interrupted, and memory does not depend on the length.

Shape suffixes: T frames of a run, F of a window, C = 3 colours, H height, W width.
Source: Li et al., "LatentSync" (2024), inference; docs/dub.md lists what differs.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.pixel_range import to_levels, to_signed
from trainers.dubbing.hearing import Hearing
from trainers.dubbing.overlapping_windows import first_window_of, windows_of
from trainers.frozen.latent_vae import LATENT_CHANNELS, PIXELS_PER_LATENT
from trainers.systems.latentsync.bundle import LdmBundle
from trainers.systems.latentsync.losses.noise import shared_noise
from trainers.systems.latentsync.sampling import sample

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class DubOptions:
    """What the generated pictures depend on besides the model."""

    steps: int = 20
    """Of DDIM; the authors use 20 to 50."""
    guidance: float = 1.5
    """1 is without; the authors use 1 to 3."""
    temperature: float = 1.0
    """Strength of the noise that sampling starts from. 1 as the authors; 0 gives what the model
    expects on average: smoother, and without the stains that a hardly trained model leaves."""
    overlap_frames: int = 4
    seed: int = 1247
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the network; the weights stay as they are."""


class Painter(Protocol):
    """Paints the mouths of one window of aligned faces."""

    @property
    def size_px(self) -> int:
        """Edge of the aligned faces."""

    @property
    def frames(self) -> int:
        """Length of every window."""

    def paint(self, faces_FCHW: Tensor, start_frame: int) -> Tensor:
        """Return the faces (F, 3, H, W) with new mouths, -1 ... 1, on the CPU.

        Args:
            faces_FCHW: `frames` aligned faces, -1 ... 1.
            start_frame: when the first of them is shown, in frames of the sound.
        """


class LdmPainter:
    """The lip-sync diffusion model. The same call gives the same pictures."""

    def __init__(
        self, bundle: LdmBundle, audio: NDArray[np.int16], options: DubOptions | None = None
    ) -> None:
        """Take (N,) int16 mono 16 kHz; sample 0 belongs to the beginning of frame 0."""
        self._bundle, self._options = bundle, options or DubOptions()
        self._hearing = Hearing(bundle.whisper, audio)
        side = bundle.resolution_px // PIXELS_PER_LATENT
        generator = torch.Generator().manual_seed(self._options.seed)
        noise_B4FHW = shared_noise((1, LATENT_CHANNELS, bundle.frames, side, side), generator)
        self._noise_B4FHW = self._options.temperature * noise_B4FHW

    @property
    def size_px(self) -> int:
        """256 or 512, as the model was trained."""
        return self._bundle.resolution_px

    @property
    def frames(self) -> int:
        """16, as the model was trained."""
        return self._bundle.frames

    def paint(self, faces_FCHW: Tensor, start_frame: int) -> Tensor:
        """Return the faces (F, 3, H, W) with new mouths, -1 ... 1, on the CPU."""
        device = next(self._bundle.unet.parameters()).device
        audio_FTD = self._hearing.tokens(start_frame, len(faces_FCHW))
        faces_1CFHW = faces_FCHW.transpose(0, 1)[None].to(device)
        dtype = _DTYPES.get(self._options.precision)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            painted_1CFHW = sample(
                self._bundle,
                faces_1CFHW,
                faces_1CFHW,
                audio_FTD[None].to(device),
                self._noise_B4FHW.to(device),
                steps=self._options.steps,
                guidance=self._options.guidance,
            )
        return painted_1CFHW[0].transpose(0, 1).float().cpu()


class FaceDubber:
    """Takes the faces of one run one by one; gives back the dubbed ones in the same order.

    Memory holds one window and what its successor shares with it.
    """

    def __init__(
        self,
        painter: Painter,
        start_frame: int,
        num_frames: int,
        overlap_frames: int,
        first: int = 0,
    ) -> None:
        """Begin a run of consecutive frames of one face.

        Args:
            start_frame: when the run's first frame is shown, in frames of the sound.
            num_frames: length of the run.
            first: the first frame of the run that is wanted, for a resume. What comes back for
                frames before it is not to be used.
        """
        self._painter, self._start_frame = painter, start_frame
        self._windows = windows_of(num_frames, painter.frames, overlap_frames)
        self._number = first_window_of(self._windows, first)
        self.begins_at = self._windows[self._number].start
        """The frame of the run whose face `push` takes first."""
        self.gives_from = self._windows[self._number].counts_from
        """The frame of the run whose dubbed face comes back first."""
        self._faces: deque[NDArray[np.uint8]] = deque()
        """From the current window's start on."""
        self._next = self.gives_from
        self._sum: dict[int, Tensor] = {}

    def push(self, face_HWC: NDArray[np.uint8]) -> list[Tensor]:
        """Add the next face; return the dubbed faces (3, H, W), -1 ... 1, that are final now."""
        self._faces.append(face_HWC)
        finished: list[Tensor] = []
        while self._number < len(self._windows) and self._complete():
            finished += self._paint()
        return finished

    def _complete(self) -> bool:
        window = self._windows[self._number]
        return len(self._faces) >= window.end - window.start

    def _paint(self) -> list[Tensor]:
        window = self._windows[self._number]
        faces = list(self._faces)[: window.end - window.start]
        faces += [faces[-1]] * (self._painter.frames - len(faces))
        faces_FCHW = to_signed(torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2))
        painted_FCHW = self._painter.paint(faces_FCHW, self._start_frame + window.start)
        shares = window.weights().tolist()
        for frame, share in zip(range(window.start, window.end), shares, strict=True):
            if share > 0:
                part = painted_FCHW[frame - window.start] * share
                self._sum[frame] = self._sum[frame] + part if frame in self._sum else part
        return self._hand_over()

    def _hand_over(self) -> list[Tensor]:
        self._number += 1
        done = self._windows[self._number - 1]
        if self._number == len(self._windows):
            final = done.end
        else:
            following = self._windows[self._number]
            final = following.counts_from
            for _ in range(following.start - done.start):
                self._faces.popleft()
        finished = [self._sum.pop(frame) for frame in range(self._next, final)]
        self._next = final
        return finished


def as_picture(face_CHW: Tensor) -> NDArray[np.float32]:
    """Return (H, W, 3) float32, 0 ... 255, clamped, of a face in -1 ... 1."""
    return np.asarray(to_levels(face_CHW).permute(1, 2, 0).contiguous().numpy(), np.float32)


def dub_faces(
    bundle: LdmBundle,
    frames_TCHW: NDArray[np.uint8],
    audio: NDArray[np.int16],
    options: DubOptions | None = None,
) -> NDArray[np.uint8]:
    """Dub aligned faces, as shards hold them.

    Args:
        frames_TCHW: RGB, H = W = the model's resolution; T >= 1.
        audio: (T * 640,) mono 16 kHz; sample 0 belongs to the beginning of frame 0.

    Returns:
        (T, 3, H, W) uint8. Outside of the repaint mask the pixels are those of `frames_TCHW`.
    """
    options = options or DubOptions()
    painter = LdmPainter(bundle, audio, options)
    return np.stack(list(_dubbed(painter, frames_TCHW, options.overlap_frames)))


def _dubbed(
    painter: Painter, frames_TCHW: NDArray[np.uint8], overlap_frames: int
) -> Iterator[NDArray[np.uint8]]:
    dubber = FaceDubber(painter, 0, len(frames_TCHW), overlap_frames)
    for frame_CHW in frames_TCHW:
        for face_CHW in dubber.push(np.ascontiguousarray(frame_CHW.transpose(1, 2, 0))):
            picture_HWC = np.rint(as_picture(face_CHW)).astype(np.uint8)
            yield picture_HWC.transpose(2, 0, 1)
