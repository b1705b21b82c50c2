"""What `lipforge dub` and `evaluate` need of a trained talking-face model, of whichever system.

A system implements `TalkingFaceModel`; `trainers/trained_models.py` knows which system a folder's
model.json names. docs/systems.md says what a system must provide.

Shape suffixes: T frames of a clip, F frames of a window, C = 3 colours, H and W pixels, N samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]
Precision = Literal["fp32", "bf16", "fp16"]
ShownFaces = Literal["self", "apart", "first"]
"""self: the faces to be changed. apart: another moment of the same face (reference_frames.py), for
models that would copy the mouth they are shown. first: always the first face of the interval."""
SAMPLING = ("steps", "guidance", "temperature", "reference")
"""Options that a model may or may not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DubOptions:
    """How a model is sampled. Of the options in `SAMPLING`, those that it takes have an effect."""

    steps: int = 20
    """Of DDIM; LatentSync's authors use 20 to 50."""
    guidance: float = 1.5
    """1 is without; LatentSync's authors use 1 to 3."""
    temperature: float = 1.0
    """Scale of the initial noise. The authors use 1; 0 gives the model's mean prediction: smoother,
    and without the blotches of a barely trained model."""
    overlap_frames: int = 4
    """That two windows share; 0 to the model's `max_overlap_frames`."""
    reference: ShownFaces = "self"
    seed: int = 1247
    precision: Precision = "fp32"
    """Of autocast; `TalkingFaceModel.cast` casts the weights beforehand."""


class FaceWindows(Protocol):
    """What paints aligned faces in windows."""

    @property
    def size_px(self) -> int:
        """Edge of the aligned faces: a crop size of the curation, or smaller."""

    @property
    def frames(self) -> int:
        """Length of every window; 1 for a model that makes frame by frame."""

    @property
    def needs_previous(self) -> bool:
        """Whether it needs the face that it made before: then windows follow each other."""


class PlacedFaceWindows(FaceWindows, Protocol):
    """The same as networks that lie somewhere, all on one device."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""


class FaceGenerator(FaceWindows, Protocol):
    """Generates the mouths of one window of aligned faces, driven by one sound."""

    def generate(
        self,
        faces_FCHW: Tensor,
        start_frame: int,
        reference_FCHW: Tensor | None = None,
        previous_CHW: Tensor | None = None,
    ) -> Tensor:
        """Return the faces (F, 3, H, W) with new mouths, -1 ... 1, float32 on the CPU.

        Outside of the model's mask they are the given ones, bit for bit. A function of its
        arguments, the sound and the options: no state, no other order of calls, changes it.

        Args:
            faces_FCHW: `frames` aligned faces, -1 ... 1.
            start_frame: of the first face, in frames of the audio.
            reference_FCHW: as many pictures of the person; None: the faces themselves.
            previous_CHW: the face generated for the frame before the first one; for the first frame
                of an interval that frame's true face. None if `needs_previous` is not set.
        """


class TalkingFaceModel(PlacedFaceWindows, Protocol):
    """A trained model: networks in eval mode without gradients, and the facts about them."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """`model.json`, which determines every output: `system`, its networks by role and name
        (stand-ins with their prefix), `sha256` by role, `steps`, `finished`, `profile`."""

    @property
    def system(self) -> str:
        """Name of the system, as in `trainers/trained_models.py`."""

    @property
    def max_overlap_frames(self) -> int:
        """Most frames that two windows may share; 0 if it makes every frame by itself."""

    @property
    def sampling(self) -> Mapping[str, Any]:
        """The options of `SAMPLING` that it takes, each with what it uses if nobody asks."""

    def to(self, device: torch.device) -> Self:
        """Move all networks, in place, and return the model."""

    def cast(self, precision: Precision) -> None:
        """Cast the weights, in place, for dubbing in this precision."""

    def keep_mask(self, size_px: int) -> Tensor:
        """Return where it may paint on a face of any size: (1, 1, H, W), 1 keep, 0 generate."""

    def round_trip(self, frames_TCHW: Pixels) -> Pixels | None:
        """Return the faces behind its autoencoder, (T, 3, H, W); None if it has none."""

    def generator(self, audio_N: Samples, options: DubOptions) -> FaceGenerator:
        """Return what generates faces that speak this sound.

        Args:
            audio_N: mono 16 kHz; sample 0 is at the start of frame 0.
            options: only those that the model takes matter.
        """
