"""A talking-face model of no use that goes on from its own last frame, for tests of the protocol.

It mixes each face with the frame it made before, the sound and the reference, so that an answer
depends on everything before it in its interval.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from trainers.talking_face.masks import composited
from trainers.talking_face.model import DubOptions, Pixels, Precision, Samples

SAMPLES = 640


def lower_half(size_px: int) -> Tensor:
    """Keep the upper half, (1, 1, H, W)."""
    rows = torch.arange(size_px)[:, None].expand(size_px, size_px)
    return (rows < size_px // 2).float()[None, None]


@dataclass
class FrameWiseModel:
    """Paints the lower half frame by frame, or `frames` at a time."""

    facts: dict[str, Any] = field(
        default_factory=lambda: {"system": "frame-wise", "net": "stand-in:mixer", "sha256": {}}
    )
    system: str = "frame-wise"
    size_px: int = 64
    frames: int = 1
    needs_previous: bool = True
    max_overlap_frames: int = 0
    sampling: dict[str, Any] = field(default_factory=lambda: {"reference": "first"})
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    stop_after: int = 10**9
    starts: list[int] = field(default_factory=list)
    previous: list[float] = field(default_factory=list)
    """Mean of the previous frame of every call."""

    def to(self, device: torch.device) -> Self:
        self.device = device
        return self

    def cast(self, precision: Precision) -> None:
        assert precision == "fp32"

    def keep_mask(self, size_px: int) -> Tensor:
        return lower_half(size_px)

    def round_trip(self, frames_TCHW: Pixels) -> Pixels | None:
        return None

    def generator(self, audio_N: Samples, options: DubOptions) -> "FrameWiseGenerator":
        return FrameWiseGenerator(self, audio_N)


@dataclass
class FrameWiseGenerator:
    """Raises KeyboardInterrupt after the model's `stop_after` calls."""

    model: FrameWiseModel
    audio: Samples
    needs_previous: bool = True

    @property
    def size_px(self) -> int:
        return self.model.size_px

    @property
    def frames(self) -> int:
        return self.model.frames

    def generate(
        self,
        faces_FCHW: Tensor,
        start_frame: int,
        reference_FCHW: Tensor | None = None,
        previous_CHW: Tensor | None = None,
    ) -> Tensor:
        assert previous_CHW is not None
        assert reference_FCHW is not None
        assert len(faces_FCHW) == len(reference_FCHW) == self.frames
        if len(self.model.starts) == self.model.stop_after:
            raise KeyboardInterrupt
        self.model.starts.append(start_frame)
        self.model.previous.append(float(previous_CHW.mean()))
        made = []
        for number, face_CHW in enumerate(faces_FCHW):
            loud = self._loudness(start_frame + number)
            mixed_CHW = 0.3 * face_CHW + 0.2 * reference_FCHW[number] + 0.1 * loud
            made.append((mixed_CHW + 0.45 * previous_CHW).clamp(-1, 1))
            previous_CHW = made[-1]
        made_1CFHW, faces_1CFHW = (
            one.transpose(0, 1)[None] for one in (torch.stack(made), faces_FCHW)
        )
        kept = composited(made_1CFHW, faces_1CFHW, lower_half(self.size_px))
        return kept[0].transpose(0, 1)

    def _loudness(self, frame: int) -> float:
        part = self.audio[frame * SAMPLES : (frame + 1) * SAMPLES].astype(np.float64)
        return float(np.abs(part).mean() / 32768) if len(part) else 0.0
