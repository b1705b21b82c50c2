"""Networks that training uses without changing them, with their digests: pretrained ones by name,
those that our own stages trained by path.

The names are those of params.yaml. Names with the prefix `stand-in:` are small networks with random
weights (or, `stand-in:blocks`, none), for machines without the files. A model that was trained with
a stand-in works only with it, so the name is written to logs, metrics and checkpoints. A missing
file is an error, never replaced by a stand-in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import nn

from pipeline.errors import ParamsError, WeightsError
from pipeline.weights.files import path_of, sha256_of, weights_file_sha256
from pipeline.weights.safetensors_files import read_safetensors
from trainers.frozen.block_vae import BlockVae
from trainers.frozen.inception_fid import InceptionFid
from trainers.frozen.latent_vae import (
    KlVae,
    LatentVae,
    TinyVae,
    sd_vae,
    sd_vae_state,
    taesd_state,
)
from trainers.frozen.lpips_vgg import LpipsVgg, load_public
from trainers.frozen.pixel_latents import PixelLatents
from trainers.frozen.public_files import fill, read_checkpoint
from trainers.frozen.stand_ins import STAND_IN, seeded_by_name
from trainers.frozen.vgg19 import Vgg19, small_vgg19
from trainers.frozen.vgg19 import load_public as load_vgg19
from trainers.frozen.videomae import VideoMaeEncoder, VideoMaeSize, state_of_public

SD_VAE_FILE = "sd_vae_ft_mse.safetensors"
TAESD_FILE = "taesd.safetensors"
VIDEOMAE_FILE = "vit_g_hybrid_pt_1200e_ssv2_ft.pth"
VGG_FILE = "vgg16-397923af.pth"
LINS_FILE = "lpips_vgg_lin.pth"
VGG19_FILE = "vgg19-dcbb9e9d.pth"
PIXELS = "pixels-8"
INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class FrozenNetwork(Generic[Network]):
    """A network in eval mode whose weights have no gradient, on the CPU, float32."""

    name: str
    network: Network
    sha256: Mapping[str, str]
    """Digest of every weights file, by name; empty for a stand-in."""

    @property
    def is_stand_in(self) -> bool:
        """Whether the weights are random."""
        return self.name.startswith(STAND_IN)


def vae(name: str) -> FrozenNetwork[LatentVae]:
    """Load `sd-vae-ft-mse`, `taesd`, `pixels-8`, a `stand-in:` of the first two, or of blocks.

    `pixels-8` has no weights and loses nothing (pixel_latents.py); `stand-in:blocks` has no weights
    and gives recognisable images (block_vae.py).

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent, altered or not of this network.
    """
    if name == PIXELS:
        return FrozenNetwork(name, _freeze(PixelLatents()), {})
    require_known("vae", name)
    return _load(name, _VAES)


def vae_sha256(name: str) -> dict[str, str]:
    """Return the digest of every weights file of an autoencoder, by name, without loading it.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent or altered.
    """
    if name == PIXELS:
        return {}
    require_known("vae", name)
    files = () if name.startswith(STAND_IN) else _VAES[name].files
    for file in files:
        path_of(file)
    return {file: sha256_of(file) for file in files}


def lpips(name: str) -> FrozenNetwork[LpipsVgg]:
    """Load `lpips-vgg` or `stand-in:lpips-vgg`.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent, altered or not of this network.
    """
    return _load(name, _LPIPS)


def videomae(name: str, gradient_checkpointing: bool = True) -> FrozenNetwork[VideoMaeEncoder]:
    """Load `videomae-v2-giant` or `stand-in:videomae-v2-giant`.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent, altered or not of this network.
    """
    part = _load(name, _VIDEOMAES)
    part.network.gradient_checkpointing = gradient_checkpointing
    return part


def vgg19(name: str) -> FrozenNetwork[Vgg19]:
    """Load `vgg19` or `stand-in:vgg19`, for perceptual losses.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent, altered or not of this network.
    """
    return _load(name, _VGG19S)


def inception(name: str) -> FrozenNetwork[InceptionFid]:
    """Load `inception-2015-12-05` or `stand-in:inception-2015-12-05`, for the FID.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent, altered or not of this network.
    """
    return _load(name, _INCEPTIONS)


def local_taesd(encoder: Path, decoder: Path) -> FrozenNetwork[LatentVae]:
    """Load TAESD's two safetensors files from any path; the name becomes `local:taesd`.

    Raises:
        WeightsError: a file is absent or not of this network.
    """
    model = AutoencoderTiny()
    fill(model, taesd_state(read_safetensors(encoder), read_safetensors(decoder)), decoder)
    digests = {path.name: weights_file_sha256(path) for path in (encoder, decoder)}
    return FrozenNetwork("local:taesd", _freeze(TinyVae(model)), digests)


def trained(path: Path, load: Callable[[Path], Network], stage: str) -> FrozenNetwork[Network]:
    """Load a network that a stage of ours trained; its name is that of the file.

    Args:
        load: reads the file, e.g. `load_safetensors` of the system.
        stage: that makes the file, for the message.

    Raises:
        WeightsError: the file is absent, or `load` refuses it.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; `dvc repro {stage}` makes it")
    return FrozenNetwork(path.name, _freeze(load(path)), {path.name: weights_file_sha256(path)})


def require_known(role: str, name: str, key: str = "", also: Sequence[str] = ()) -> None:
    """Fail if there is no such network; loads nothing.

    Args:
        role: `vae`, `latents` (an autoencoder whose latents can be stored), `lpips`, `videomae`,
            `inception` or `vgg19`.
        key: file and key that name it, for the message.
        also: other values that are possible there, for the message.

    Raises:
        ParamsError: with key and known names.
    """
    known = _names(_ROLES[role]) + ([PIXELS] if role == "vae" else [])
    if name not in known:
        where = f"{key}: " if key else ""
        raise ParamsError(where + _unknown(name, [*also, *known]))


def names(parts: Mapping[str, FrozenNetwork[Any]]) -> dict[str, str]:
    """Return role -> name, for logs, metrics and checkpoints."""
    return {role: part.name for role, part in sorted(parts.items())}


@dataclass(frozen=True, slots=True)
class _NetworkSpec(Generic[Network]):
    """How to build one network: its files in the lock (none: stand-in only), real and stand-in."""

    files: tuple[str, ...]
    real: Callable[..., Network]
    """Takes the paths of `files`."""
    stand_in: Callable[[], Network]


def _load(name: str, specs: Mapping[str, _NetworkSpec[Network]]) -> FrozenNetwork[Network]:
    wanted, known = name.removeprefix(STAND_IN), _names(specs)
    if name not in known:
        raise ParamsError(_unknown(name, known))
    if name.startswith(STAND_IN):
        return FrozenNetwork(name, _freeze(seeded_by_name(name, specs[wanted].stand_in)), {})
    files = specs[wanted].files
    paths = [path_of(file) for file in files]
    network = seeded_by_name(name, lambda: specs[wanted].real(*paths))
    return FrozenNetwork(name, _freeze(network), {file: sha256_of(file) for file in files})


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"no frozen part named {name!r}; known: {', '.join(known)}"


def _names(specs: Mapping[str, _NetworkSpec[Network]]) -> list[str]:
    real = [name for name, spec in specs.items() if spec.files]
    return real + [STAND_IN + name for name in specs]


def _freeze(network: Network) -> Network:
    return network.requires_grad_(False).eval()


def _sd_vae(path: Path) -> LatentVae:
    model = sd_vae()
    fill(model, sd_vae_state(read_safetensors(path)), path)
    return KlVae(model)


def _taesd(path: Path) -> LatentVae:
    model = AutoencoderTiny()
    fill(model, read_safetensors(path), path)
    return TinyVae(model)


def _videomae(path: Path) -> VideoMaeEncoder:
    try:
        state = state_of_public(read_checkpoint(path))
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    with torch.device("meta"):  # random initialization of 1 G weights takes most of a minute
        network = VideoMaeEncoder()
    fill(network, {key: tensor.float() for key, tensor in state.items()}, path)
    return network


def _inception(path: Path) -> InceptionFid:
    network = InceptionFid()
    fill(network, read_checkpoint(path), path)
    return network


def _small_inception() -> InceptionFid:
    network = InceptionFid(thin=16)
    for weight in network.parameters():
        if weight.ndim == 4:
            nn.init.kaiming_normal_(weight)  # else the features hardly depend on the image
    return network


def _lpips(vgg: Path, lins: Path) -> LpipsVgg:
    network = LpipsVgg()
    try:
        load_public(network, read_checkpoint(vgg), read_checkpoint(lins))
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{vgg} or {lins}: not the weights of LPIPS-VGG: {error}") from error
    return network


def _vgg19(path: Path) -> Vgg19:
    network = Vgg19()
    try:
        load_vgg19(network, read_checkpoint(path))
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{path}: not the weights of VGG-19: {error}") from error
    return network


def _small_kl() -> LatentVae:
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4}
    blocks["up_block_types"] = ("UpDecoderBlock2D",) * 4
    return KlVae(
        AutoencoderKL(**blocks, block_out_channels=(32,) * 4, layers_per_block=1, latent_channels=4)
    )


def _small_tiny() -> LatentVae:
    widths = dict.fromkeys(("encoder_block_out_channels", "decoder_block_out_channels"), (16,) * 4)
    return TinyVae(AutoencoderTiny(**widths))


def _small_lpips() -> LpipsVgg:
    network = LpipsVgg(widths=(8, 16, 32, 64, 64))
    for weight in network.lins.parameters():
        weight.data.abs_()  # a negative weight would make a larger difference a smaller distance
    return network


def _small_videomae() -> VideoMaeEncoder:
    return VideoMaeEncoder(VideoMaeSize(width=48, depth=1, heads=2, hidden=96))


_VAES: dict[str, _NetworkSpec[LatentVae]] = {
    "sd-vae-ft-mse": _NetworkSpec((SD_VAE_FILE,), _sd_vae, _small_kl),
    "taesd": _NetworkSpec((TAESD_FILE,), _taesd, _small_tiny),
    "blocks": _NetworkSpec((), BlockVae, BlockVae),
}
_LPIPS = {"lpips-vgg": _NetworkSpec((VGG_FILE, LINS_FILE), _lpips, _small_lpips)}
_VGG19S = {"vgg19": _NetworkSpec((VGG19_FILE,), _vgg19, small_vgg19)}
_INCEPTIONS = {
    "inception-2015-12-05": _NetworkSpec((INCEPTION_FILE,), _inception, _small_inception)
}
_VIDEOMAES = {"videomae-v2-giant": _NetworkSpec((VIDEOMAE_FILE,), _videomae, _small_videomae)}
_ROLES: dict[str, Mapping[str, _NetworkSpec[Any]]] = {
    "vae": _VAES,
    "latents": _VAES,
    "lpips": _LPIPS,
    "videomae": _VIDEOMAES,
    "inception": _INCEPTIONS,
    "vgg19": _VGG19S,
}
