"""Whisper encoders from OpenAI's files, from Hugging Face folders, or random.

OpenAI's `tiny.pt` holds `dims` and `model_state_dict`; a Hugging Face folder `config.json` and
`model.safetensors` (or `pytorch_model.bin`). Of both only the encoder is read, as data only.
"""

import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # the name of torch.load's error; nothing is unpickled here
from zipfile import BadZipFile

import torch
from torch import Tensor, nn
from transformers import WhisperConfig

from pipeline.errors import ParamsError, WeightsError
from trainers.audio.whisper import STAND_IN, WhisperFeatures
from trainers.networks.public_files import file_sha256, fill, read_checkpoint, read_safetensors

SIZES = {"whisper-tiny": (384, 6, 4), "whisper-small": (768, 12, 12)}
"""Width, heads, blocks."""
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
_LOAD_ERRORS = (OSError, RuntimeError, EOFError, ValueError, UnpicklingError, BadZipFile)


def load_whisper(source: str | Path) -> WhisperFeatures:
    """Load an encoder, frozen, float32 on the CPU.

    Args:
        source: OpenAI's `.pt` file, a Hugging Face folder, or `stand-in:whisper-tiny` or
            `stand-in:whisper-small`: the real shape with random weights that depend on the name
            alone. A missing file is an error, never a stand-in.

    Raises:
        ParamsError: no such stand-in.
        WeightsError: the file is absent or not a Whisper encoder.
    """
    if str(source).startswith(STAND_IN):
        return _stand_in(str(source))
    path = Path(source)
    return _from_folder(path) if path.is_dir() else _from_openai(path)


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


def _stand_in(name: str) -> WhisperFeatures:
    size = SIZES.get(name.removeprefix(STAND_IN))
    if size is None:
        known = ", ".join(STAND_IN + real for real in SIZES)
        raise ParamsError(f"no stand-in named {name!r}; known: {known}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(name.encode()))
        made = WhisperFeatures(_config(*size), name, {})
        for module in made.modules():
            # transformers starts with weights of 0.02: all steps would sound nearly alike
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    return made


def _from_openai(path: Path) -> WhisperFeatures:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _LOAD_ERRORS as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(f"{path}: cannot be read as a PyTorch checkpoint: {reason}") from error
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
    return _filled(config, renamed_from_openai(state), path, path)


def _from_folder(folder: Path) -> WhisperFeatures:
    safetensors, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder}: config.json cannot be read: {error}") from error
    if fields.get("model_type") != "whisper":
        raise WeightsError(f"{folder}/config.json: model_type is not whisper")
    config = WhisperConfig.from_dict(fields)
    path = safetensors if safetensors.is_file() else pickled
    state = read_safetensors(path) if path == safetensors else read_checkpoint(path)
    bare = {key.removeprefix("model."): value for key, value in state.items()}
    encoder = {
        key.removeprefix("encoder."): value
        for key, value in bare.items()
        if not key.startswith(("decoder.", "proj_out."))
    }
    return _filled(config, encoder, path, folder)


def _filled(
    config: WhisperConfig, state: Mapping[str, Tensor], path: Path, source: Path
) -> WhisperFeatures:
    made = WhisperFeatures(config, f"local:{source.name}", {path.name: file_sha256(path)})
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
