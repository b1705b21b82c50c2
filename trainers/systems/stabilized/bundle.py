"""A trained generator as a folder: all networks that it needs, and `model.json`.

`generator.safetensors` is G_L (or G_S in its own folder), `silent_lip.safetensors` G_S where the
generator was trained with it, `audio_tower.safetensors` AVSyncNet's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline.atomic import write_json
from pipeline.errors import WeightsError
from pipeline.weights.files import weights_file_sha256
from trainers.loop.precision import DTYPES, cast_layers
from trainers.systems.avsyncnet.configs import FRAMES, AvSyncNetConfig
from trainers.systems.avsyncnet.files import load_audio_tower, save_audio_tower
from trainers.systems.avsyncnet.network import AudioTower
from trainers.systems.stabilized import model_facts
from trainers.systems.stabilized.face_generator import TalkerFaceGenerator
from trainers.systems.stabilized.files import load_safetensors, save_safetensors
from trainers.systems.stabilized.model_facts import SYSTEM
from trainers.systems.stabilized.network import TalkerGenerator
from trainers.talking_face.masks import lower_half_mask
from trainers.talking_face.model import DubOptions, Pixels, Precision, Samples
from trainers.talking_face.model_folders import FACTS_FILE

GENERATOR_FILE = "generator.safetensors"
SILENT_LIP_FILE = "silent_lip.safetensors"
TOWER_FILE = "audio_tower.safetensors"


@dataclass(frozen=True, slots=True)
class TalkerBundle:
    """All that dubbing needs, frozen, in eval mode, float32: a `TalkingFaceModel`."""

    system: ClassVar[str] = SYSTEM
    needs_previous: ClassVar[bool] = False
    frames: ClassVar[int] = FRAMES
    max_overlap_frames: ClassVar[int] = 0

    talker: TalkerGenerator
    tower: AudioTower
    silent_lip: TalkerGenerator | None
    facts: dict[str, Any]
    """`model.json`: SHA-256 of all parts, stand-ins, steps, profile."""

    @property
    def size_px(self) -> int:
        """Height and width of the aligned faces that it was trained on."""
        return self.talker.config.resolution

    @property
    def sampling(self) -> dict[str, Any]:
        """The reference: of another moment, as in training."""
        return {"reference": "apart"}

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.talker.parameters()).device

    def to(self, device: torch.device) -> "TalkerBundle":
        """Move all networks, and return the bundle."""
        for network in self._networks():
            network.to(device)
        return self

    def cast(self, precision: Precision) -> None:
        """Cast the networks, in place, for dubbing in this precision."""
        if precision in DTYPES:
            for network in self._networks():
                cast_layers(network, DTYPES[precision])

    def keep_mask(self, size_px: int) -> Tensor:
        """Return the mask: the lower half is generated."""
        return lower_half_mask(size_px)

    def round_trip(self, frames_TCHW: Pixels) -> None:
        """Return None: there is no autoencoder."""

    def generator(self, audio_N: Samples, options: DubOptions) -> TalkerFaceGenerator:
        """Return what generates faces that speak this sound."""
        return TalkerFaceGenerator(self, audio_N, options)

    def _networks(self) -> list[nn.Module]:
        silent: list[nn.Module] = [self.silent_lip] if self.silent_lip is not None else []
        return [self.talker, self.tower, *silent]


@dataclass(frozen=True, slots=True)
class TalkerNetworks:
    """What a bundle is made of."""

    generator: TalkerGenerator
    tower: AudioTower
    tower_config: AvSyncNetConfig
    silent_lip: TalkerGenerator | None


def save_bundle(
    folder: Path,
    networks: TalkerNetworks,
    facts: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the files, each whole or not at all; the same model gives the same bytes.

    Args:
        facts: JSON values, at least those of `model_facts.TalkerFacts` but for format, system and
            sha256.
        metadata: JSON values for the generator's own file.

    Raises:
        StorageError: the disk is full or not writable.
    """
    save_safetensors(folder / GENERATOR_FILE, networks.generator, metadata)
    save_audio_tower(folder / TOWER_FILE, networks.tower, networks.tower_config)
    if networks.silent_lip is not None:
        save_safetensors(folder / SILENT_LIP_FILE, networks.silent_lip)
    files = _files(networks.silent_lip is not None)
    sha256 = {role: _digest(folder / name) for role, name in files.items()}
    own = {"format": model_facts.FORMAT, "system": SYSTEM, "sha256": sha256}
    write_json(folder / FACTS_FILE, {**facts, **own})


def load_bundle(folder: Path) -> TalkerBundle:
    """Read what `save_bundle` wrote.

    Raises:
        WeightsError: a file is absent or altered, or a fact is missing or impossible.
    """
    facts = model_facts.read_facts(folder / FACTS_FILE)
    files = _files(facts["silent_lips"])
    for role, name in files.items():
        _check(folder / name, facts["sha256"].get(role, {}))
    silent = load_safetensors(folder / SILENT_LIP_FILE) if facts["silent_lips"] else None
    talker, tower = load_safetensors(folder / GENERATOR_FILE), load_audio_tower(folder / TOWER_FILE)
    for network in (talker, tower, silent):
        if network is not None:
            network.requires_grad_(False).eval()
    return TalkerBundle(talker, tower, silent, facts)


def _files(silent_lips: bool) -> dict[str, str]:
    silent = {"silent_lip": SILENT_LIP_FILE} if silent_lips else {}
    return {"generator": GENERATOR_FILE, "audio_tower": TOWER_FILE, **silent}


def _digest(path: Path) -> dict[str, str]:
    return {path.name: weights_file_sha256(path)}


def _check(path: Path, expected: Mapping[str, str]) -> None:
    if not path.exists():
        raise WeightsError(f"{path}: no such file; `dvc repro {SYSTEM}` makes it")
    if _digest(path) != dict(expected):
        raise WeightsError(
            f"{path}: not the file of the training: {FACTS_FILE} says {dict(expected)}; "
            "put the right file in place"
        )
