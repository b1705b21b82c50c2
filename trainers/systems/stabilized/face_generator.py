"""A generator of Yaman et al. as a generator of mouths, for dubbing: five frames at a time.

Every frame is painted by itself, from its own upper half, a reference picture and the sound around
it, so windows need no overlap. The lower half is the model's, the upper half the film's.

Shape suffixes: F = 5 frames, C = 3 colours, H and W pixels.
"""

from typing import Protocol

import torch
from torch import Tensor

from trainers.loop.precision import DTYPES
from trainers.systems.avsyncnet.configs import FRAMES
from trainers.systems.avsyncnet.network import AudioTower
from trainers.systems.stabilized.items import mel_of_frames
from trainers.systems.stabilized.network import TalkerGenerator
from trainers.systems.stabilized.painting import closed, painted
from trainers.talking_face.model import DubOptions, PlacedFaceWindows, Samples


class TalkingNetworks(PlacedFaceWindows, Protocol):
    """What generating needs of a bundle."""

    @property
    def talker(self) -> TalkerGenerator:
        """G_L."""

    @property
    def tower(self) -> AudioTower:
        """AVSyncNet's audio tower."""

    @property
    def silent_lip(self) -> TalkerGenerator | None:
        """G_S; None for a model that sees references as they are."""


class TalkerFaceGenerator:
    """Deterministic in its arguments."""

    needs_previous = False
    frames = FRAMES

    def __init__(self, bundle: TalkingNetworks, audio: Samples, options: DubOptions) -> None:
        """Take (N,) int16 mono 16 kHz; sample 0 is at the start of frame 0."""
        self._bundle, self._audio, self._options = bundle, audio, options

    @property
    def size_px(self) -> int:
        """Edge of the aligned faces."""
        return self._bundle.talker.config.resolution

    @torch.no_grad()
    def generate(
        self,
        faces_FCHW: Tensor,
        start_frame: int,
        reference_FCHW: Tensor | None = None,
        previous_CHW: Tensor | None = None,
    ) -> Tensor:
        """Return the faces (F, 3, H, W) with new lower halves, -1 ... 1, on the CPU."""
        bundle, device = self._bundle, self._bundle.device
        dtype = DTYPES.get(self._options.precision)
        faces = faces_FCHW.to(device)
        identity = faces if reference_FCHW is None else reference_FCHW.to(device)
        mel = mel_of_frames(self._audio, start_frame, len(faces)).to(device)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            if bundle.silent_lip is not None:
                identity = closed(bundle.silent_lip, bundle.tower, identity)
            made = painted(bundle.talker, bundle.tower, faces, identity, mel)
        upper = faces_FCHW.shape[-2] // 2
        return torch.cat([faces_FCHW[..., :upper, :], made[..., upper:, :].float().cpu()], dim=-2)
