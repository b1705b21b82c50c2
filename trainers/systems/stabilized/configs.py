"""Sizes of generator and discriminator by name.

The paper gives 96 x 96 faces, the kinds of layers and an audio embedding of 512 numbers; widths and
depth are ours.

Source: Yaman et al. (ECCV 2024).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.weights.safetensors_metadata import with_tuples


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkerConfig:
    """Sizes of the generator and of its discriminator.

    Raises:
        ValueError: the face cannot be halved once per level.
    """

    resolution: int = 96
    """Edge of the whole face in pixels."""
    stem: int = 32
    """Channels at full size, of each face encoder."""
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Channels behind each block of an encoder; every block halves the picture."""
    sound: int = 512
    """Length of AVSyncNet's audio embedding."""
    judge_widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of the discriminator's strided convolutions."""

    def __post_init__(self) -> None:
        for name in ("widths", "judge_widths"):
            if not getattr(self, name) or self.resolution % 2 ** len(getattr(self, name)):
                raise ValueError(f"{name}: {self.resolution} pixels are not halved so often")

    @property
    def bottom(self) -> int:
        """Edge of the smallest feature map."""
        return self.resolution >> len(self.widths)

    def section(self) -> dict[str, Any]:
        """Return plain values, for a file's header."""
        return asdict(self)

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> "TalkerConfig":
        """Read what `section` returned.

        Raises:
            TypeError, ValueError: a key is missing or unknown, or a value is impossible.
        """
        return cls(**with_tuples(section))


CONFIGS: Mapping[str, TalkerConfig] = {
    "paper": TalkerConfig(),
    "tiny": TalkerConfig(
        resolution=64,
        stem=8,
        widths=(16, 32, 48, 64),
        sound=128,
        judge_widths=(16, 32, 64),
    ),
}
"""`tiny`: faces of 64 pixels, for two CPU cores."""
