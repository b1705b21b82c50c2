"""The autoencoder of a frame-wise diffusion model by name: `vq-f4:FILE`, a stand-in, `pixels-8`.

`lipforge weights` does not fetch vq-f4: its digest stands in no public record that we know. Its
file is the `model.ckpt` of vq-f4.zip of the latent diffusion project, one of Lightning, of which
the weights alone are read; or the same weights as safetensors, published names or diffusers'.
"""

from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import ParamsError, WeightsError
from pipeline.weights.files import weights_file_sha256
from pipeline.weights.safetensors_files import read_safetensors
from trainers.frozen import registry
from trainers.frozen.foreign_checkpoints import read_weights
from trainers.frozen.latent_vae import LatentVae, sd_vae_state
from trainers.frozen.public_files import fill
from trainers.frozen.registry import PIXELS, FrozenNetwork
from trainers.frozen.stand_ins import STAND_IN, seeded_by_name
from trainers.frozen.vq_vae import VqVae, own_state, vq_f4

VQ = "vq-f4:"
"""`vq-f4:FILE` names the published weights."""
VQ_STAND_IN = f"{STAND_IN}vq-f4"
WEIGHTS_KEY = "state_dict"
KNOWN = f"{VQ}FILE, {VQ_STAND_IN}, {PIXELS}"
SMALL_WIDTHS, SMALL_ENTRIES = (32, 32, 32), 64


def load_autoencoder(name: str, key: str = "autoencoder") -> FrozenNetwork[LatentVae]:
    """Load `vq-f4:FILE`, `stand-in:vq-f4` (small, random) or `pixels-8` (lossless, no weights).

    Args:
        key: file and key that name it, for the message.

    Raises:
        ParamsError: no such autoencoder.
        WeightsError: the file is absent or not of this network.
    """
    if name == PIXELS:
        return registry.vae(name)
    if name == VQ_STAND_IN:
        made = seeded_by_name(name, lambda: VqVae(vq_f4(SMALL_WIDTHS, SMALL_ENTRIES)))
        return FrozenNetwork(name, made.requires_grad_(False).eval(), {})
    path = _path(name, key)
    assert path is not None
    with torch.device("meta"):
        model = vq_f4()
    fill(model, _state(path), path)
    network = VqVae(model).requires_grad_(False).eval()
    return FrozenNetwork(name, network, {path.name: weights_file_sha256(path)})


def autoencoder_sha256(name: str, key: str = "autoencoder") -> dict[str, str]:
    """Return the digest of the weights file, by name, without loading it.

    Raises:
        ParamsError, WeightsError: as `load_autoencoder`.
    """
    path = None if name in (PIXELS, VQ_STAND_IN) else _path(name, key)
    return {path.name: weights_file_sha256(path)} if path else {}


def _path(name: str, key: str) -> Path:
    if not name.startswith(VQ):
        raise ParamsError(f"{key}: no autoencoder named {name!r}; known: {KNOWN}")
    path = Path(name.removeprefix(VQ))
    if name == VQ:
        raise ParamsError(f"{key}: {name!r} names no file; known: {KNOWN}")
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file ({key}); unpack model.ckpt of the latent diffusion project's "
            f"vq-f4.zip to that place, or name {VQ_STAND_IN} or {PIXELS}"
        )
    return path


def _state(path: Path) -> dict[str, Tensor]:
    safe = path.suffix == ".safetensors"
    state = read_safetensors(path) if safe else read_weights(path, WEIGHTS_KEY)
    return {name: tensor.float() for name, tensor in sd_vae_state(own_state(state)).items()}
