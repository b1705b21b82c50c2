"""A trained diffusion model as a folder: weights, and names and digests of the networks it needs.

`unet.safetensors` is what we load, `latentsync_unet.pt` the published layout for other programs,
`model.json` says the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipeline.atomic import write_json
from pipeline.errors import WeightsError
from pipeline.weights.files import weights_file_sha256
from trainers.frozen import registry as frozen
from trainers.frozen.audio_encoders import AudioEncoder, load_audio_encoder
from trainers.frozen.latent_vae import LatentVae
from trainers.frozen.registry import FrozenNetwork
from trainers.loop.precision import DTYPES, cast_layers
from trainers.systems.latentsync import model_facts
from trainers.systems.latentsync.autoencoded import behind_autoencoder
from trainers.systems.latentsync.face_generator import LdmFaceGenerator
from trainers.systems.latentsync.files import (
    load_safetensors,
    save_checkpoint,
    save_safetensors,
)
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.parametrization import Parametrization
from trainers.talking_face.masks import keep_mask
from trainers.talking_face.model import DubOptions, Pixels, Precision, Samples
from trainers.talking_face.model_facts import check_part, require_facts
from trainers.talking_face.model_folders import FACTS_FILE

SYSTEM = "latentsync"
UNET_FILE = "unet.safetensors"
PUBLISHED_FILE = "latentsync_unet.pt"


@dataclass(frozen=True, slots=True)
class LdmBundle:
    """All that dubbing needs, frozen, in eval mode, float32: a `TalkingFaceModel`."""

    system: ClassVar[str] = SYSTEM
    needs_previous: ClassVar[bool] = False

    unet: LatentSyncUNet
    vae: FrozenNetwork[LatentVae]
    whisper: AudioEncoder
    resolution_px: int
    """Height and width of the aligned faces it was trained on."""
    frames: int
    """Length of the windows it was trained on."""
    facts: dict[str, Any]
    """`model.json`: names and SHA-256 of all parts, stand-ins, steps, profile."""

    @property
    def parametrization(self) -> Parametrization:
        """What the U-Net predicts."""
        return Parametrization(self.facts["prediction"])

    @property
    def size_px(self) -> int:
        """Height and width of the aligned faces it was trained on."""
        return self.resolution_px

    @property
    def max_overlap_frames(self) -> int:
        """Half a window."""
        return self.frames // 2

    @property
    def sampling(self) -> dict[str, Any]:
        """All sampling options, as the model says, else as published."""
        return {**model_facts.SamplingFacts().model_dump(), **self.facts.get("sampling", {})}

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.unet.parameters()).device

    def to(self, device: torch.device) -> "LdmBundle":
        """Move all networks, and return the bundle."""
        for network in (self.unet, self.vae.network, self.whisper):
            network.to(device)
        return self

    def cast(self, precision: Precision) -> None:
        """Cast U-Net and autoencoder, in place, for dubbing in it; no answer changes."""
        if precision in DTYPES:
            for network in (self.unet, self.vae.network):
                cast_layers(network, DTYPES[precision])

    def keep_mask(self, size_px: int) -> Tensor:
        """Return LatentSync's mask: cheeks, mouth and jaw are generated."""
        return keep_mask(size_px)

    def round_trip(self, frames_TCHW: Pixels) -> Pixels:
        """Return the faces behind the autoencoder."""
        return behind_autoencoder(self.vae.network, frames_TCHW, self.device)

    def generator(self, audio_N: Samples, options: DubOptions) -> LdmFaceGenerator:
        """Return what generates faces that speak this sound."""
        return LdmFaceGenerator(self, audio_N, options)


def save_bundle(folder: Path, unet: LatentSyncUNet, facts: Mapping[str, Any]) -> None:
    """Write the three files, each whole or not at all; the same model gives the same bytes.

    Args:
        facts: JSON values, at least those of `model_facts.ModelFacts`: `vae` and `whisper` by name,
            `sha256` with the digests of their files; `steps` goes into the published file.

    Raises:
        StorageError: the disk is full or not writable.
        ValueError: a needed fact is missing.
    """
    facts = {**facts, "format": model_facts.FORMAT, "system": SYSTEM}
    require_facts(facts, model_facts.ModelFacts)
    path = folder / UNET_FILE
    save_safetensors(path, unet, {"resolution_px": facts["resolution_px"]})
    save_checkpoint(folder / PUBLISHED_FILE, unet, int(facts.get("steps", 0)))
    digests = {**facts["sha256"], "unet": weights_file_sha256(path)}
    write_json(folder / FACTS_FILE, {**facts, "sha256": digests})


def load_bundle(folder: Path) -> LdmBundle:
    """Read what `save_bundle` wrote, with the autoencoder and Whisper it was trained with.

    Raises:
        WeightsError: a file is absent or altered, a fact is missing or impossible, or a part is
            not the one of the training.
        ParamsError: a part has a name that nothing here has.
    """
    facts = read_facts(folder)
    path = folder / UNET_FILE
    if not path.exists():
        raise WeightsError(f"{path}: no such file; `dvc repro train_ldm` makes it")
    expected = facts["sha256"]
    own = {UNET_FILE: weights_file_sha256(path)}
    check_part(folder, "unet", own, {UNET_FILE: expected["unet"]})
    unet = load_safetensors(path).requires_grad_(False).eval()
    vae, whisper = frozen.vae(facts["vae"]), load_audio_encoder(facts["whisper"])
    check_part(folder, "vae", vae.sha256, expected.get("vae", {}))
    check_part(folder, "whisper", whisper.sha256, expected.get("whisper", {}))
    return LdmBundle(unet, vae, whisper, facts["resolution_px"], facts["frames"], facts)


def read_facts(folder: Path) -> dict[str, Any]:
    """Return `model.json` of a bundle.

    Raises:
        WeightsError: the folder holds no bundle, or its facts are not those of one.
    """
    return model_facts.read_facts(folder / FACTS_FILE)
