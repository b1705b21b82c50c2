"""Sizes of AVSyncNet by name.

Published: a ResNet-50 on five frames of a lower half face of 112 x 224, a ResNetSE-34 on 80 x 16
mel values, both 512 wide. The paper gives no widths of the ResNetSE-34; ours are those of the
family's common member on speech, 32 to 256.

Source: Yaman et al., "Audio-driven Talking Face Generation with Stabilized Synchronization Loss"
(ECCV 2024).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.weights.safetensors_metadata import with_tuples

FRAMES = 5
"""Of a window, at 25 fps."""
MEL_SHAPE = (1, 80, 16)
"""(channels, bands, columns) of a window's sound: 200 ms."""
LEVELS = 4
ALIGNMENT = 2
"""The lower half of a face needs whole rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvSyncNetConfig:
    """Sizes of both towers.

    Raises:
        ValueError: no four levels, or a face whose height cannot be halved.
    """

    image_block: Literal["bottleneck", "basic"] = "bottleneck"
    image_stem: int = 64
    """Channels behind the first layer, which takes 15: five frames, R, G, B inside."""
    image_widths: tuple[int, ...] = (256, 512, 1024, 2048)
    image_depths: tuple[int, ...] = (3, 4, 6, 3)
    audio_widths: tuple[int, ...] = (32, 64, 128, 256)
    audio_depths: tuple[int, ...] = (3, 4, 6, 3)
    embedding: int = 512
    resolution: int = 224
    """Edge of the whole face in pixels; the picture is its lower half."""

    def __post_init__(self) -> None:
        for name in ("image_widths", "image_depths", "audio_widths", "audio_depths"):
            if len(getattr(self, name)) != LEVELS:
                raise ValueError(f"{name}: {getattr(self, name)}; give one for each of 4 levels")
        if self.resolution % ALIGNMENT:
            raise ValueError(f"resolution: {self.resolution} has no lower half of whole rows")

    @property
    def visual_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one window."""
        return 3 * FRAMES, self.resolution // 2, self.resolution

    def section(self) -> dict[str, Any]:
        """Return plain values, for a file's header."""
        return asdict(self)

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> "AvSyncNetConfig":
        """Read what `section` returned.

        Raises:
            TypeError, ValueError: a key is missing or unknown, or a value is impossible.
        """
        return cls(**with_tuples(section))


CONFIGS: Mapping[str, AvSyncNetConfig] = {
    "paper": AvSyncNetConfig(),
    "tiny": AvSyncNetConfig(
        image_block="basic",
        image_stem=16,
        image_widths=(16, 32, 64, 128),
        image_depths=(1, 1, 1, 1),
        audio_widths=(16, 32, 64, 128),
        audio_depths=(1, 1, 1, 1),
        embedding=128,
        resolution=64,
    ),
}
"""`tiny`: faces of 64 pixels, one block a level, for two CPU cores."""
