"""Sizes of SyncDiff's network, by name.

Source: Fan et al., "SyncDiff" (WACV 2025) for the inputs; it states no widths, so `ldm` has those
of latent diffusion's unconditional models on the same latents (Rombach et al., CVPR 2022).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Pose = Literal["bottleneck", "direct", "none"]
PoseNorm = Literal["batch", "none"]

NORM_GROUPS = 32
SOUND_WIDTH = 768
"""Of the vector per frame that is key and value of cross-attention."""
COMPRESSION = 3
"""Channels of the frame before, divided by those behind the bottleneck: 3 to 1, as published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSizes:
    """Sizes that do not depend on the other parts.

    Raises:
        ValueError: a width is no multiple of 32, or the lists differ in length.
    """

    widths: tuple[int, ...]
    """Channels from the latents' own size down, halved in between."""
    heads: tuple[int, ...]
    """Attention heads by level."""
    attention: tuple[bool, ...]
    """Levels with attention, to the picture itself and to the sound."""
    layers_per_block: int

    def __post_init__(self) -> None:
        if any(width <= 0 or width % NORM_GROUPS for width in self.widths):
            raise ValueError(f"widths: {self.widths}; give multiples of {NORM_GROUPS}")
        if not len(self.widths) == len(self.heads) == len(self.attention):
            raise ValueError("widths, heads and attention need one value per level")


CONFIGS: dict[str, NetworkSizes] = {
    "mini": NetworkSizes(
        widths=(64, 64, 64, 64),
        heads=(4, 4, 4, 4),
        attention=(True, True, True, False),
        layers_per_block=1,
    ),
    "ldm": NetworkSizes(
        widths=(224, 448, 672, 896),
        heads=(7, 14, 21, 28),
        attention=(False, True, True, True),
        layers_per_block=2,
    ),
}
"""`mini`: ours, for two cores. `ldm`: heads of 32 channels, attention from half the size down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDiffConfig:
    """All that decides names and shapes of the weights, but for those that hear."""

    sizes: NetworkSizes
    latent_channels: int
    """C, of the autoencoder: 3 as published."""
    pose: Pose = "bottleneck"
    pose_norm: PoseNorm = "batch"

    @property
    def pose_channels(self) -> int:
        """Channels of the frame before, as the network sees it: 1 as published."""
        bottleneck = max(1, self.latent_channels // COMPRESSION)
        return {"bottleneck": bottleneck, "direct": self.latent_channels, "none": 0}[self.pose]

    @property
    def input_channels(self) -> int:
        """Noisy latents, masked frame, identity frame, frame before: 10 as published."""
        return 3 * self.latent_channels + self.pose_channels

    def section(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "widths": list(self.sizes.widths),
            "heads": list(self.sizes.heads),
            "attention": list(self.sizes.attention),
            "layers_per_block": self.sizes.layers_per_block,
            "latent_channels": self.latent_channels,
            "pose": self.pose,
            "pose_norm": self.pose_norm,
        }

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> "SyncDiffConfig":
        """Read what `section` gave.

        Raises:
            KeyError, TypeError, ValueError: a value is missing, or impossible.
        """
        sizes = NetworkSizes(
            widths=tuple(section["widths"]),
            heads=tuple(section["heads"]),
            attention=tuple(section["attention"]),
            layers_per_block=section["layers_per_block"],
        )
        return cls(
            sizes=sizes,
            latent_channels=section["latent_channels"],
            pose=section["pose"],
            pose_norm=section["pose_norm"],
        )
