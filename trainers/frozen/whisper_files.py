"""Loading of Whisper encoders: by name, from OpenAI's files, Hugging Face folders, or random.

OpenAI's `tiny.pt` holds `dims` and `model_state_dict`; a Hugging Face folder `config.json` and
`model.safetensors` (or `pytorch_model.bin`). Only the encoder is used; nothing is unpickled.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from transformers import WhisperConfig

from pipeline.errors import ParamsError, WeightsError
from pipeline.weights.files import path_of, sha256_of, weights_file_sha256
from pipeline.weights.safetensors_files import read_safetensors
from pipeline.weights.torch_files import read_torch
from trainers.frozen.public_files import fill, read_checkpoint
from trainers.frozen.stand_ins import STAND_IN, seeded_by_name
from trainers.frozen.whisper import WhisperFeatures

SIZES = {"whisper-tiny": (384, 6, 4), "whisper-small": (768, 12, 12)}
"""Width, heads, blocks."""
FILES = {"tiny": "whisper_tiny.pt", "small": "whisper_small.pt"}
"""OpenAI's name of the model -> name of its file in pipeline/weights/weights.lock.json."""
_OPENAI_NAMES = (
    (r"^blocks\.", "layers."),
    (r"\.attn\.query\.", ".self_attn.q_proj."),
    (r"\.attn\.key\.", ".self_attn.k_proj."),
    (r"\.attn\.value\.", ".self_attn.v_proj."),
    (r"\.attn\.out\.", ".self_attn.out_proj."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"^ln_post\.", "layer_norm."),
    (r"^positional_embedding$", "embed_positions.weight"),
)


@dataclass(frozen=True, slots=True)
class WhisperIdentity:
    """Name and digests of an encoder, without loading it; equal identities are equal encoders."""

    name: str
    """`tiny`, `small`, a stand-in's name, or `local:` and the last part of the path."""
    sha256: Mapping[str, str]
    """Digest of every weights file, by name; empty for a stand-in."""


def load_whisper(source: str | Path) -> WhisperFeatures:
    """Load an encoder, frozen, float32 on the CPU.

    Args:
        source: `tiny` or `small`, fetched by `lipforge weights fetch`; OpenAI's `.pt` file; a
            Hugging Face folder; or `stand-in:whisper-tiny` or `stand-in:whisper-small`: the real
            shape with random weights that depend on the name alone. A missing file is an error,
            never a stand-in.

    Raises:
        ParamsError: no such stand-in.
        WeightsError: the file is absent, altered or not a Whisper encoder.
    """
    if str(source).startswith(STAND_IN):
        return _stand_in(str(source))
    identity, path = whisper_identity(source), _weights_file(source)
    read = _from_folder if Path(source).is_dir() else _from_openai
    return read(path, identity)


def whisper_identity(source: str | Path) -> WhisperIdentity:
    """Return the identity of what `load_whisper` would load; reads the files for their digests.

    Raises:
        ParamsError: no such stand-in.
        WeightsError: the file is absent or altered.
    """
    if str(source).startswith(STAND_IN):
        _size_of(str(source))
        return WhisperIdentity(str(source), {})
    path = _weights_file(source)
    if file := FILES.get(str(source)):
        return WhisperIdentity(str(source), {file: sha256_of(file)})
    return WhisperIdentity(f"local:{Path(source).name}", {path.name: weights_file_sha256(path)})


def _weights_file(source: str | Path) -> Path:
    if str(source) in FILES:
        return path_of(FILES[str(source)])
    path = Path(source)
    if not path.exists():
        known = ", ".join([*FILES, *(STAND_IN + size for size in SIZES)])
        raise WeightsError(f"{source}: no such file, and no name of an encoder; known: {known}")
    if not path.is_dir():
        return path
    inside = [path / name for name in ("model.safetensors", "pytorch_model.bin")]
    if found := [one for one in inside if one.is_file()]:
        return found[0]
    raise WeightsError(f"{path}: holds no config.json with {inside[0].name} or {inside[1].name}")


def renamed_from_openai(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an encoder's state dict with the names of transformers; the decoder is left out.

    Args:
        state: keys with or without `encoder.` in front.
    """
    bare = {key.removeprefix("encoder."): value for key, value in state.items()}
    return {_renamed(key): v for key, v in bare.items() if not key.startswith("decoder.")}


def _renamed(key: str) -> str:
    for pattern, name in _OPENAI_NAMES:
        key = re.sub(pattern, name, key)
    return key


def _size_of(stand_in: str) -> tuple[int, int, int]:
    size = SIZES.get(stand_in.removeprefix(STAND_IN))
    if size is None:
        known = ", ".join(STAND_IN + real for real in SIZES)
        raise ParamsError(f"no stand-in named {stand_in!r}; known: {known}")
    return size


def _stand_in(name: str) -> WhisperFeatures:
    size = _size_of(name)
    return seeded_by_name(name, lambda: _random_weights(size, name))


def _random_weights(size: tuple[int, int, int], name: str) -> WhisperFeatures:
    made = WhisperFeatures(_config(*size), name, {})
    for module in made.modules():
        # transformers' own weights have a deviation of 0.02: features would hardly differ by step
        if isinstance(module, nn.Linear | nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    return made


def _from_openai(path: Path, identity: WhisperIdentity) -> WhisperFeatures:
    content = read_torch(path)
    try:
        dims, state = content["dims"], content["model_state_dict"]
        config = _config(
            dims["n_audio_state"],
            dims["n_audio_head"],
            dims["n_audio_layer"],
            dims["n_mels"],
            dims["n_audio_ctx"],
        )
    except (KeyError, TypeError, IndexError) as error:
        raise WeightsError(f"{path}: no Whisper file of OpenAI: {error!r} is missing") from error
    return _filled(config, renamed_from_openai(state), path, identity)


def _from_folder(path: Path, identity: WhisperIdentity) -> WhisperFeatures:
    folder = path.parent
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder}: config.json cannot be read: {error}") from error
    if fields.get("model_type") != "whisper":
        raise WeightsError(f"{folder}/config.json: model_type is not whisper")
    config = WhisperConfig.from_dict(fields)
    state = read_safetensors(path) if path.suffix == ".safetensors" else read_checkpoint(path)
    bare = {key.removeprefix("model."): value for key, value in state.items()}
    encoder = {
        key.removeprefix("encoder."): value
        for key, value in bare.items()
        if not key.startswith(("decoder.", "proj_out."))
    }
    return _filled(config, encoder, path, identity)


def _filled(
    config: WhisperConfig, state: Mapping[str, Tensor], path: Path, identity: WhisperIdentity
) -> WhisperFeatures:
    made = WhisperFeatures(config, identity.name, identity.sha256)
    kept = {key: v.float() for key, v in state.items() if not key.startswith("layer_norm.")}
    fill(made.encoder, kept, path)
    made.requires_grad_(False)
    return made


def _config(
    width: int, heads: int, blocks: int, mels: int = 80, steps: int = 1500
) -> WhisperConfig:
    return WhisperConfig(
        d_model=width,
        encoder_attention_heads=heads,
        encoder_layers=blocks,
        encoder_ffn_dim=4 * width,
        num_mel_bins=mels,
        max_source_positions=steps,
    )
