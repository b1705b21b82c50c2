"""StableSyncNet: two convolutional towers that embed 16 mouth pictures and their sound.

Each tower is the encoder of a diffusion U-Net: levels of two normalised 3 x 3 convolutions with a
shortcut, a strided convolution, self-attention behind some levels. A ReLU ends both towers, so
embeddings have no negative component and their cosine lies in 0 ... 1.

Shape suffixes: B windows, C channels, H height, W width, N = H * W tokens, D embedding,
F frames, M mel bands, S mel columns.
Source: architecture of LatentSync (Li et al. 2024, arXiv 2412.09262) and its published
configurations; keys and shapes of the state dict are those of the published checkpoints.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainers.systems.stable_syncnet.configs import (
    ATTENTION_HEADS,
    NORM_GROUPS,
    EncoderConfig,
    Factor,
    StableSyncNetConfig,
)

NORM_EPS = 1e-6


class StableSyncNet(nn.Module):
    """Embeds image and audio windows such that synchronous ones have a high cosine.

    The authors' module puts itself into eval mode when it is made. This one starts in training
    mode like any other; with the published dropout of 0 both modes give the same numbers.
    """

    def __init__(self, config: StableSyncNetConfig, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self.config = config
        self.audio_encoder = _Encoder(config.audio, gradient_checkpointing)
        self.visual_encoder = _Encoder(config.visual, gradient_checkpointing)

    def forward(self, visual_BCHW: Tensor, mel_B1MS: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings (B, D) of picture and of sound.

        Raises:
            ValueError: as `embed_visual` and `embed_audio`.
        """
        return self.embed_visual(visual_BCHW), self.embed_audio(mel_B1MS)

    def called_modules(self) -> list[nn.Module]:
        """Return the towers: what the embedding methods call, to be compiled."""
        return [self.audio_encoder, self.visual_encoder]

    def embed_visual(self, visual_BCHW: Tensor) -> Tensor:
        """Return unit vectors (B, D), float32 or wider.

        Args:
            visual_BCHW: (B, 3 F, 128, 256) lower half of the face, frame by frame, colours R, G, B
                inside, -1 ... 1; for the latent configuration (B, 4 F, 32, 32) scaled latents.
        Raises:
            ValueError: another shape than `config.visual_shape`.
        """
        _check_shape("visual", visual_BCHW, self.config.visual_shape)
        return _unit_vectors(self.visual_encoder(visual_BCHW))

    def embed_audio(self, mel_B1MS: Tensor) -> Tensor:
        """Return unit vectors (B, D), float32 or wider.

        Args:
            mel_B1MS: (B, 1, 80, 52) mel window of `trainers.audio.mel`, low to high, -4 ... 4.
        Raises:
            ValueError: another shape than `config.mel_shape`.
        """
        _check_shape("mel", mel_B1MS, self.config.mel_shape)
        return _unit_vectors(self.audio_encoder(mel_B1MS))


class _Encoder(nn.Module):
    """One tower. Levels and attention blocks share one list, and so one numbering of keys."""

    def __init__(self, config: EncoderConfig, gradient_checkpointing: bool) -> None:
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.conv_in = nn.Conv2d(config.in_channels, config.widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        widths = pairwise((config.widths[0], *config.widths))
        for (inputs, outputs), factor, attends in zip(
            widths, config.factors, config.attention, strict=True
        ):
            self.down_blocks.append(_Level(inputs, outputs, factor, config.dropout))
            if attends:
                self.down_blocks.append(_AttentionBlock(outputs, config.dropout))
        self.norm_out = _group_norm(config.widths[-1])

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, D), not negative."""
        x_BCHW = self.conv_in(x_BCHW)
        for block in self.down_blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x_BCHW = checkpoint(block, x_BCHW, use_reentrant=False)
            else:
                x_BCHW = block(x_BCHW)
        return functional.relu(self.norm_out(x_BCHW)).flatten(1)


class _Level(nn.Module):
    """Two convolutions and a shortcut, then a strided convolution if the factor is not 1."""

    def __init__(self, inputs: int, outputs: int, factor: Factor, dropout: float) -> None:
        super().__init__()
        self.norm1 = _group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = _group_norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None
        self.downsample_conv = nn.Conv2d(outputs, outputs, 3, factor) if factor != (1, 1) else None
        self.padding = _padding(factor)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        hidden_BCHW = self.conv1(functional.silu(self.norm1(x_BCHW)))
        hidden_BCHW = self.conv2(self.dropout(functional.silu(self.norm2(hidden_BCHW))))
        if self.conv_shortcut is not None:
            x_BCHW = self.conv_shortcut(x_BCHW)
        x_BCHW = x_BCHW + hidden_BCHW
        if self.downsample_conv is not None:
            x_BCHW = self.downsample_conv(functional.pad(x_BCHW, self.padding))
        return x_BCHW


class _AttentionBlock(nn.Module):
    """Self-attention over all places of a feature map, without positional encoding."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = _group_norm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = _FeedForward(width, dropout)
        self.conv_in = nn.Conv2d(width, width, 1)
        self.conv_out = nn.Conv2d(width, width, 1)
        self.attn = _SelfAttention(width, dropout)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        tokens_BNC = self.conv_in(self.norm1(x_BCHW)).flatten(2).transpose(1, 2)
        tokens_BNC = tokens_BNC + self.attn(self.norm2(tokens_BNC))
        tokens_BNC = tokens_BNC + self.ff(self.norm3(tokens_BNC))
        out: Tensor = self.conv_out(tokens_BNC.transpose(1, 2).unflatten(2, x_BCHW.shape[2:]))
        return x_BCHW + out


class _SelfAttention(nn.Module):
    """Eight heads, scaled dot products."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def forward(self, x_BNC: Tensor) -> Tensor:
        parts = (self.to_q(x_BNC), self.to_k(x_BNC), self.to_v(x_BNC))
        q, k, v = (one.unflatten(2, (ATTENTION_HEADS, -1)).transpose(1, 2) for one in parts)
        heads = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.to_out(heads.transpose(1, 2).flatten(2))
        return out


class _FeedForward(nn.Module):
    """Gated, four times as wide inside. Source: GEGLU, Shazeer (2020)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            _Gate(width, 4 * width), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )

    def forward(self, x_BNC: Tensor) -> Tensor:
        out: Tensor = self.net(x_BNC)
        return out


class _Gate(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * outputs)

    def forward(self, x_BNC: Tensor) -> Tensor:
        value, gate = self.proj(x_BNC).chunk(2, dim=-1)
        out: Tensor = value * functional.gelu(gate)
        return out


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(NORM_GROUPS, channels, eps=NORM_EPS)


def _padding(factor: Factor) -> tuple[int, int, int, int]:
    """Return zeros (left, right, top, bottom) so that a factor f maps n to n // f or n."""
    rows, columns = factor
    return (int(columns == 1), 1, int(rows == 1), 1)


def _unit_vectors(x_BD: Tensor) -> Tensor:
    """Normalise in float32 at least: under fp16 the sum of 2048 squares may overflow."""
    wide = torch.promote_types(x_BD.dtype, torch.float32)
    return functional.normalize(x_BD.to(wide), dim=1)


def _check_shape(name: str, x: Tensor, shape: tuple[int, int, int]) -> None:
    if tuple(x.shape[1:]) != shape:
        raise ValueError(f"{name}: {tuple(x.shape)}, needed (B, {', '.join(map(str, shape))})")
