"""SyncDiff as a generator of mouths, for dubbing: one frame at a time.

Every frame starts from the same noise. The pose is the face that was generated before, the identity
the picture that is shown; what a frame becomes depends on nothing else.

Shape suffixes: F = 1 frame, C = 3 colours, H and W pixels.
Source: Fan et al., "SyncDiff" (WACV 2025), inference.
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.frozen.audio_encoders import AudioEncoder
from trainers.loop.precision import DTYPES
from trainers.systems.syncdiff.sampling import FramePainter, first_noise, next_frames
from trainers.talking_face.audio_conditioning import AudioConditioning
from trainers.talking_face.model import DubOptions, PlacedFaceWindows


class HearingPainter(FramePainter, PlacedFaceWindows, Protocol):
    """What generating needs of a bundle."""

    @property
    def audio(self) -> AudioEncoder:
        """The frozen front end."""


class SyncDiffFaceGenerator:
    """The frame-wise diffusion model; deterministic in its arguments."""

    needs_previous = True
    frames = 1

    def __init__(
        self, bundle: HearingPainter, audio: NDArray[np.int16], options: DubOptions
    ) -> None:
        """Take (N,) int16 mono 16 kHz; sample 0 is at the start of frame 0."""
        self._bundle, self._options = bundle, options
        self._conditioning = AudioConditioning(bundle.audio, audio)
        self._noise = first_noise(bundle, bundle.size_px, options.seed)

    @property
    def size_px(self) -> int:
        """Edge of the aligned faces."""
        return self._bundle.size_px

    def generate(
        self,
        faces_FCHW: Tensor,
        start_frame: int,
        reference_FCHW: Tensor | None = None,
        previous_CHW: Tensor | None = None,
    ) -> Tensor:
        """Return the faces (F, 3, H, W) with a new lower half, -1 ... 1, on the CPU."""
        assert len(faces_FCHW) == 1, faces_FCHW.shape
        assert previous_CHW is not None
        device, dtype = self._bundle.device, DTYPES.get(self._options.precision)
        identity = faces_FCHW if reference_FCHW is None else reference_FCHW
        tokens = self._conditioning.tokens(start_frame, 1)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            made = next_frames(
                self._bundle,
                faces_FCHW.to(device),
                identity.to(device),
                previous_CHW[None].to(device),
                tokens.to(device),
                self._noise.to(device),
                self._options.steps,
            )
        return made.float().cpu()
