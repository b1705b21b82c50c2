"""LatentSync's diffusion model as a generator of mouths, for dubbing.

Every window starts from the same noise, as in LatentSync, so that with a fixed seed the windows
agree where they overlap.

Shape suffixes: F frames of a window, C = 3 colours, H height, W width, T tokens, D their width.
Source: Li et al., "LatentSync" (2024), inference; docs/dub.md lists what differs.
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.frozen.audio_encoders import AudioEncoder
from trainers.frozen.latent_vae import PIXELS_PER_LATENT
from trainers.loop.precision import DTYPES
from trainers.systems.latentsync.losses.noise import shared_noise
from trainers.systems.latentsync.sampling import HasUNetAndVae, sample
from trainers.talking_face.audio_conditioning import AudioConditioning
from trainers.talking_face.model import DubOptions, PlacedFaceWindows


class SpeakingNetworks(HasUNetAndVae, PlacedFaceWindows, Protocol):
    """What generating needs of a bundle."""

    @property
    def whisper(self) -> AudioEncoder:
        """Encodes the sound."""


class LdmFaceGenerator:
    """The lip-sync diffusion model; deterministic in its arguments."""

    needs_previous = False

    def __init__(
        self, bundle: SpeakingNetworks, audio: NDArray[np.int16], options: DubOptions
    ) -> None:
        """Take (N,) int16 mono 16 kHz; sample 0 is at the start of frame 0."""
        self._bundle, self._options = bundle, options
        self._conditioning = AudioConditioning(bundle.whisper, audio)
        side = bundle.size_px // PIXELS_PER_LATENT
        channels = bundle.unet.config.latent_channels
        generator = torch.Generator().manual_seed(options.seed)
        noise_B4FHW = shared_noise((1, channels, bundle.frames, side, side), generator)
        self._noise_B4FHW = options.temperature * noise_B4FHW

    @property
    def size_px(self) -> int:
        """256 or 512, as the model was trained."""
        return self._bundle.size_px

    @property
    def frames(self) -> int:
        """16, as the model was trained."""
        return self._bundle.frames

    def generate(
        self,
        faces_FCHW: Tensor,
        start_frame: int,
        reference_FCHW: Tensor | None = None,
        previous_CHW: Tensor | None = None,
    ) -> Tensor:
        """Return the faces (F, 3, H, W) with new mouths, -1 ... 1, on the CPU."""
        device = self._bundle.device
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
