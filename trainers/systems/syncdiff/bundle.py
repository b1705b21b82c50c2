"""A trained SyncDiff as a folder: `syncdiff.safetensors`, and `model.json` that says the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipeline.atomic import write_json
from pipeline.errors import WeightsError
from pipeline.weights.files import weights_file_sha256
from trainers.data.pixel_range import signed_from_array, to_bytes
from trainers.frozen.audio_encoders import AudioEncoder, load_audio_encoder
from trainers.frozen.av_hubert_files import is_av_hubert, parsed
from trainers.frozen.latent_vae import LatentVae
from trainers.frozen.registry import FrozenNetwork
from trainers.frozen.vq_files import load_autoencoder
from trainers.loop.precision import DTYPES, cast_layers
from trainers.systems.syncdiff import model_facts
from trainers.systems.syncdiff.diffusion import FrameDiffusion
from trainers.systems.syncdiff.face_generator import SyncDiffFaceGenerator
from trainers.systems.syncdiff.files import load_safetensors, read_metadata, save_safetensors
from trainers.systems.syncdiff.network import SyncDiffNetwork
from trainers.talking_face.masks import lower_half_mask
from trainers.talking_face.model import DubOptions, Pixels, Precision, Samples
from trainers.talking_face.model_facts import check_part, require_facts
from trainers.talking_face.model_folders import FACTS_FILE

SYSTEM = "syncdiff"
NETWORK_FILE = "syncdiff.safetensors"
FRAMES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class SyncDiffBundle:
    """All that dubbing needs, frozen, in eval mode, float32: a `TalkingFaceModel`."""

    system: ClassVar[str] = SYSTEM
    needs_previous: ClassVar[bool] = True
    frames: ClassVar[int] = 1
    max_overlap_frames: ClassVar[int] = 0

    network: SyncDiffNetwork
    autoencoder: FrozenNetwork[LatentVae]
    audio: AudioEncoder
    facts: dict[str, Any]
    """`model.json`: names and SHA-256 of all parts, stand-ins, steps, profile."""

    @property
    def diffusion(self) -> FrameDiffusion:
        """What the network predicts."""
        return FrameDiffusion(self.facts["prediction"])

    @property
    def size_px(self) -> int:
        """Height and width of the aligned faces that it was trained on."""
        size: int = self.facts["resolution_px"]
        return size

    @property
    def sampling(self) -> dict[str, Any]:
        """DDIM's steps; and the identity frame is the first one, as published."""
        return {"steps": self.facts["sampling"]["steps"], "reference": "first"}

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device) -> "SyncDiffBundle":
        """Move all networks, and return the bundle."""
        for network in (self.network, self.autoencoder.network, self.audio):
            network.to(device)
        return self

    def cast(self, precision: Precision) -> None:
        """Cast network and autoencoder, in place, for dubbing in it; no answer changes."""
        if precision in DTYPES:
            for network in (self.network, self.autoencoder.network):
                cast_layers(network, DTYPES[precision])

    def keep_mask(self, size_px: int) -> Tensor:
        """Return the mask: the lower half is generated."""
        return lower_half_mask(size_px)

    @torch.no_grad()
    def round_trip(self, frames_TCHW: Pixels) -> Pixels:
        """Return the faces behind the autoencoder."""
        vae, made = self.autoencoder.network, []
        for part in torch.split(signed_from_array(frames_TCHW), FRAMES_AT_ONCE):
            made.append(to_bytes(vae.decode(vae.encode(part.to(self.device))).float()).cpu())
        bytes_TCHW: Pixels = torch.cat(made).numpy()
        return bytes_TCHW

    def generator(self, audio_N: Samples, options: DubOptions) -> SyncDiffFaceGenerator:
        """Return what generates faces that speak this sound."""
        return SyncDiffFaceGenerator(self, audio_N, options)


def save_bundle(folder: Path, network: SyncDiffNetwork, facts: Mapping[str, Any]) -> None:
    """Write both files, each whole or not at all; the same model gives the same bytes.

    Args:
        facts: JSON values, at least those of `model_facts.SyncDiffFacts`.

    Raises:
        StorageError: the disk is full or not writable.
        ValueError: a needed fact is missing.
    """
    facts = {**facts, "format": model_facts.FORMAT, "system": SYSTEM}
    require_facts(facts, model_facts.SyncDiffFacts)
    path = folder / NETWORK_FILE
    save_safetensors(path, network, facts["audio"], {"resolution_px": facts["resolution_px"]})
    digests = {**facts["sha256"], "network": {NETWORK_FILE: weights_file_sha256(path)}}
    write_json(folder / FACTS_FILE, {**facts, "sha256": digests})


def load_bundle(folder: Path) -> SyncDiffBundle:
    """Read what `save_bundle` wrote, with the autoencoder and the front end of its training.

    Raises:
        WeightsError: a file is absent or altered, a fact is missing or impossible, or a part is
            not the one of the training.
        ParamsError: a part has a name that nothing here has.
    """
    facts = model_facts.read_facts(folder / FACTS_FILE)
    path = folder / NETWORK_FILE
    if not path.exists():
        raise WeightsError(f"{path}: no such file; `dvc repro syncdiff` makes it")
    expected = facts["sha256"]
    check_part(folder, "network", {NETWORK_FILE: weights_file_sha256(path)}, expected["network"])
    network = load_safetensors(path).requires_grad_(False).eval()
    autoencoder = load_autoencoder(facts["autoencoder"], str(folder / FACTS_FILE))
    audio = load_audio_encoder(facts["audio"])
    check_part(folder, "autoencoder", autoencoder.sha256, expected["autoencoder"])
    check_part(folder, "audio", audio.sha256, expected["audio"])
    _check_fit(folder / FACTS_FILE, facts, network, autoencoder)
    _check_heard(folder / FACTS_FILE, audio.name, read_metadata(path)["audio"])
    return SyncDiffBundle(network, autoencoder, audio, facts)


def _check_fit(
    facts_file: Path,
    facts: Mapping[str, Any],
    network: SyncDiffNetwork,
    autoencoder: FrozenNetwork[LatentVae],
) -> None:
    channels, wanted = autoencoder.network.channels, network.config.latent_channels
    if channels != wanted:
        raise WeightsError(
            f"{facts_file}: autoencoder: {facts['autoencoder']!r} has {channels} channels, the "
            f"weights are for {wanted}; put the file back that the training wrote"
        )


def _check_heard(facts_file: Path, found: str, trained_with: str) -> None:
    """A file of AV-HuBERT may have moved, so only what is in front of it must be the same."""
    trained_with = parsed(trained_with).name if is_av_hubert(trained_with) else trained_with
    if found != trained_with:
        raise WeightsError(
            f"{facts_file}: audio: {found!r}; the weights were trained with {trained_with!r}; put "
            "the file back that the training wrote"
        )
