"""The encoder of VideoMAE-v2: one feature vector per clip, for TREPA.

transformers' VideoMAE, with the layer norm after the mean over tokens as in VideoMAE-v2's
fine-tuned checkpoints; `state_of_public` renames their keys (q, k, v are one matrix there).

Shape suffixes: B clips, F frames, H height, W width, N tokens, D feature.
Source: Wang et al., "VideoMAE V2: Scaling Video Masked Autoencoders with Dual Masking" (CVPR 2023,
arXiv 2303.16727).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import VideoMAEConfig, VideoMAEModel

NORM_EPS = 1e-6

_RENAMED = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoMaeSize:
    """Sizes of an encoder; the defaults are VideoMAE-v2 giant's (1.01 G parameters)."""

    width: int = 1408
    depth: int = 40
    heads: int = 16
    hidden: int = 6144
    patch: int = 14
    tubelet: int = 2
    frames: int = 16
    picture: int = 224

    def config(self) -> VideoMAEConfig:
        """Return transformers' configuration of this size."""
        return VideoMAEConfig(
            image_size=self.picture,
            patch_size=self.patch,
            num_frames=self.frames,
            tubelet_size=self.tubelet,
            hidden_size=self.width,
            num_hidden_layers=self.depth,
            num_attention_heads=self.heads,
            intermediate_size=self.hidden,
            layer_norm_eps=NORM_EPS,
            use_mean_pooling=True,
        )


class VideoMaeEncoder(nn.Module):
    """Clip -> feature vector. Frozen use: `requires_grad_(False)`, `eval()`."""

    def __init__(
        self, size: VideoMaeSize | None = None, gradient_checkpointing: bool = False
    ) -> None:
        super().__init__()
        size = size or VideoMaeSize()
        self.model = VideoMAEModel(size.config())
        self.fc_norm = nn.LayerNorm(size.width, eps=NORM_EPS)
        self.gradient_checkpointing = gradient_checkpointing

    def forward(self, clip_B3FHW: Tensor) -> Tensor:
        """Return the features (B, D): mean over tokens, then layer norm, before any classifier.

        Args:
            clip_B3FHW: 16 frames of 224 x 224, RGB, 0 ... 1.
        """
        pixels = clip_B3FHW.transpose(1, 2).to(self.fc_norm.weight.dtype)
        tokens_BND: Tensor = self.model.embeddings(pixels, None)
        for layer in self.model.encoder.layer:
            tokens_BND = self._apply_layer(layer, tokens_BND)
        feature_BD: Tensor = self.fc_norm(tokens_BND.mean(dim=1))
        return feature_BD

    def _apply_layer(self, layer: nn.Module, tokens_BND: Tensor) -> Tensor:
        """Apply a layer, checkpointed here because transformers does so in training mode only."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            kept: Tensor = checkpoint(layer, tokens_BND, use_reentrant=False)
            return kept
        passed: Tensor = layer(tokens_BND)
        return passed


def state_of_public(public: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a VideoMAE-v2 classifier's state dict for `VideoMaeEncoder`; the head is dropped.

    Raises:
        ValueError: a key does not belong to such a checkpoint.
    """
    state: dict[str, Tensor] = {}
    for key, tensor in public.items():
        if key.startswith("head."):
            continue
        state |= _renamed(key, tensor)
    return state


def _renamed(key: str, tensor: Tensor) -> dict[str, Tensor]:
    if key.startswith("fc_norm."):
        return {key: tensor}
    if key.startswith("patch_embed.proj."):
        end = key.removeprefix("patch_embed.proj.")
        return {f"model.embeddings.patch_embeddings.projection.{end}": tensor}
    root, number, rest = ([*key.split(".", 2), "", ""])[:3]
    if root != "blocks":
        raise ValueError(f"{key}: not a key of a VideoMAE-v2 classifier")
    layer = f"model.encoder.layer.{number}"
    if rest == "attn.qkv.weight":
        names = [f"{layer}.attention.attention.{part}.weight" for part in ("query", "key", "value")]
        return dict(zip(names, tensor.chunk(3), strict=True))
    if rest in ("attn.q_bias", "attn.v_bias"):
        part = "query" if rest == "attn.q_bias" else "value"
        return {f"{layer}.attention.attention.{part}.bias": tensor}
    stem, _, end = rest.rpartition(".")
    if stem not in _RENAMED:
        raise ValueError(f"{key}: not a key of a VideoMAE-v2 classifier")
    return {f"{layer}.{_RENAMED[stem]}.{end}": tensor}
