"""Sizes of StableSyncNet: the four published configurations, and small ones of our own.

A section is a mapping with the key names of the published YAML files (`block_out_channels`,
`downsample_factors`, `attn_blocks`, `dropout`), so that those files can be read as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

NORM_GROUPS = 32
ATTENTION_HEADS = 8
NUM_MELS = 80
LATENT_SCALE = 8
"""Pixels per latent along one edge, in the Stable Diffusion VAE."""

Factor = tuple[int, int]
"""(rows, columns) that one place stands for after a level, against before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """One of the two towers. All tuples have one entry per level.

    Raises:
        ValueError: lengths differ, a width is no multiple of 32, or a factor is not positive.
    """

    in_channels: int
    widths: tuple[int, ...]
    factors: tuple[Factor, ...]
    attention: tuple[bool, ...]
    """Whether a self-attention block follows the level."""
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.factors) == len(self.attention) > 0:
            raise ValueError(
                f"{len(self.widths)} block_out_channels, {len(self.factors)} downsample_factors "
                f"and {len(self.attention)} attn_blocks; give one of each per level"
            )
        for width in self.widths:
            if width <= 0 or width % NORM_GROUPS:
                raise ValueError(f"block_out_channels: {width} is no multiple of {NORM_GROUPS}")
        if any(min(factor) < 1 for factor in self.factors):
            raise ValueError(f"downsample_factors: {self.factors}; every one must be 1 or more")

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> "EncoderConfig":
        """Read a section. `attn_blocks` may be absent (none), as in the published 25-frame file.

        Raises:
            ValueError: a key is missing or unknown, or a value is impossible.
        """
        required = {"in_channels", "block_out_channels", "downsample_factors"}
        known = required | {"attn_blocks", "dropout"}
        if wrong := sorted(required - set(section)) or sorted(set(section) - known):
            raise ValueError(f"missing or unknown keys: {wrong}; known: {sorted(known)}")
        widths = tuple(int(width) for width in section["block_out_channels"])
        return cls(
            in_channels=int(section["in_channels"]),
            widths=widths,
            factors=tuple(_factor(one) for one in section["downsample_factors"]),
            attention=tuple(bool(one) for one in section.get("attn_blocks", [0] * len(widths))),
            dropout=float(section.get("dropout", 0.0)),
        )

    def section(self) -> dict[str, Any]:
        """Return the section that `from_section` reads."""
        return {
            "in_channels": self.in_channels,
            "block_out_channels": list(self.widths),
            "downsample_factors": [a if a == b else [a, b] for a, b in self.factors],
            "attn_blocks": [int(one) for one in self.attention],
            "dropout": self.dropout,
        }

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size behind the last level: a factor above 1 divides and rounds down."""
        for rows, columns in self.factors:
            height, width = _shrunk(height, rows), _shrunk(width, columns)
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class StableSyncNetConfig:
    """Both towers and their input.

    Raises:
        ValueError: channels do not fit the frames, a tower does not end in one place, or the two
            embeddings have different lengths.
    """

    audio: EncoderConfig
    visual: EncoderConfig
    num_frames: int = 16
    latent: bool = False
    """Input: VAE latents of the whole face instead of pixels of its lower half."""
    resolution: int = 256
    """Edge of the face crop in pixels."""

    def __post_init__(self) -> None:
        if self.audio.in_channels != 1 or self.visual.in_channels % self.num_frames:
            raise ValueError(
                f"in_channels: {self.audio.in_channels} for sound (must be 1), "
                f"{self.visual.in_channels} for {self.num_frames} frames"
            )
        for name, tower, shape in (
            ("audio", self.audio, self.mel_shape),
            ("visual", self.visual, self.visual_shape),
        ):
            if tower.out_size(*shape[1:]) != (1, 1):
                raise ValueError(
                    f"{name}_encoder.downsample_factors: {shape[1]} x {shape[2]} ends as "
                    f"{tower.out_size(*shape[1:])}, not as (1, 1)"
                )
        if self.audio.widths[-1] != self.visual.widths[-1]:
            raise ValueError(
                f"block_out_channels end in {self.audio.widths[-1]} (audio) and "
                f"{self.visual.widths[-1]} (visual); both are the embedding's length"
            )

    @classmethod
    def from_sections(
        cls,
        section: Mapping[str, Any],
        *,
        num_frames: int = 16,
        latent: bool = False,
        resolution: int = 256,
    ) -> "StableSyncNetConfig":
        """Read the `model` section of a published YAML file.

        Raises:
            ValueError: a key is missing or unknown, or a value is impossible.
        """
        if set(section) != {"audio_encoder", "visual_encoder"}:
            raise ValueError(f"{sorted(section)}; needed: audio_encoder, visual_encoder")
        return cls(
            audio=EncoderConfig.from_section(section["audio_encoder"]),
            visual=EncoderConfig.from_section(section["visual_encoder"]),
            num_frames=num_frames,
            latent=latent,
            resolution=resolution,
        )

    def sections(self) -> dict[str, Any]:
        """Return the `model` section in the published layout."""
        return {"audio_encoder": self.audio.section(), "visual_encoder": self.visual.section()}

    @property
    def embedding_size(self) -> int:
        """Length D of an embedding."""
        return self.audio.widths[-1]

    @property
    def mel_shape(self) -> tuple[int, int, int]:
        """(1, mel bands, mel columns) of one window."""
        return 1, NUM_MELS, ceil(self.num_frames * 16 / 5)

    @property
    def visual_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one window: frames one after the other, colours inside."""
        edge = self.resolution // LATENT_SCALE if self.latent else self.resolution
        return self.visual.in_channels, edge if self.latent else edge // 2, edge


def _factor(value: Any) -> Factor:
    rows, columns = (value, value) if isinstance(value, int) else value
    return int(rows), int(columns)


def _shrunk(size: int, factor: int) -> int:
    """Size behind a 3-wide kernel: one zero on each side at factor 1, else one at the end."""
    return size if factor == 1 else (size - 2) // factor + 1


def _tower(
    in_channels: int,
    widths: tuple[int, ...],
    factors: tuple[int | Factor, ...],
    attention: tuple[int, ...] = (),
) -> EncoderConfig:
    """Shorthand for a tower: `attention` names the levels (from 0) that attention follows."""
    return EncoderConfig(
        in_channels=in_channels,
        widths=widths,
        factors=tuple(_factor(one) for one in factors),
        attention=tuple(level in attention for level in range(len(widths))),
    )


_AUDIO_WIDTHS = (32, 64, 128, 256, 512, 1024, 2048)
_AUDIO_FACTORS = ((2, 1), 2, 2, 1, 2, 2, (2, 3))
_PIXEL_WIDTHS = (64, 128, 256, 256, 512, 1024, 2048, 2048)
_PIXEL_FACTORS = ((1, 2), 2, 2, 2, 2, 2, 2, 2)

PUBLISHED: Mapping[str, StableSyncNetConfig] = {
    "syncnet_16_pixel_attn": StableSyncNetConfig(
        audio=_tower(1, _AUDIO_WIDTHS, _AUDIO_FACTORS, attention=(3, 4)),
        visual=_tower(48, _PIXEL_WIDTHS, _PIXEL_FACTORS, attention=(4, 5)),
    ),
    "syncnet_16_pixel": StableSyncNetConfig(
        audio=_tower(1, _AUDIO_WIDTHS, _AUDIO_FACTORS),
        visual=_tower(48, _PIXEL_WIDTHS, _PIXEL_FACTORS),
    ),
    "syncnet_16_latent": StableSyncNetConfig(
        audio=_tower(1, _AUDIO_WIDTHS[:6], ((2, 1), 2, 2, 2, 2, (2, 3))),
        visual=_tower(64, (64, 128, 256, 256, 512, 1024), (2, 2, 2, 1, 2, 2)),
        latent=True,
    ),
    "syncnet_25_pixel": StableSyncNetConfig(
        audio=_tower(1, (64, 128, 256, 256, 512, 1024), (2, 2, 2, 2, 2, 2)),
        visual=_tower(75, (128, 128, 256, 256, 512, 512, 1024, 1024), _PIXEL_FACTORS),
        num_frames=25,
    ),
}
"""By the name of the published file. `stable_syncnet.pt` holds `syncnet_16_pixel_attn`."""


def _tiny(
    frames: int = 16, width: int = 256, audio_factors: tuple[int | Factor, ...] | None = None
) -> StableSyncNetConfig:
    """Faces of 64 pixels: windows of so many frames, embeddings of `width` numbers."""
    sound = audio_factors or (2, 2, 2, 2, 2, (2, 1))
    picture = (2, 2, 2, 2, 2, (1, 2))
    return StableSyncNetConfig(
        audio=_tower(1, (32, 32, 64, 128, 256, width), sound, attention=(3,)),
        visual=_tower(3 * frames, (32, 64, 64, 128, 256, width), picture, attention=(3,)),
        num_frames=frames,
        resolution=64,
    )


OURS: Mapping[str, StableSyncNetConfig] = {
    "small": StableSyncNetConfig(
        audio=_tower(1, (32, 32, 32, 64, 64, 64, 96), _AUDIO_FACTORS, attention=(3, 4)),
        visual=_tower(48, (32, 32, 32, 64, 64, 64, 96, 96), _PIXEL_FACTORS, attention=(4, 5)),
    ),
    "tiny": _tiny(),
    "tiny_5_frames": _tiny(frames=5, audio_factors=(2, 2, 2, 2, (2, 1), (2, 1))),
    "tiny_25_frames": _tiny(frames=25, audio_factors=(2, 2, 2, 2, 2, 2)),
    "tiny_64_wide": _tiny(width=64),
    "tiny_768_wide": _tiny(width=768),
}
"""`small`: the published shape at 0.4 % of its size. `tiny`: 64-pixel faces, for two CPU cores;
the others differ from it in what their name says, for benchmarks/claims."""

CONFIGS: Mapping[str, StableSyncNetConfig] = {**PUBLISHED, **OURS}
