"""Sizes of LatentSync's U-Net, and its published training stages as data.

Source: the published configurations, sections 4.1 and 4.3 of the anchor study.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

NORM_GROUPS = 32
HEADS = 8
LATENT_CHANNELS = 4
"""Of Stable Diffusion's autoencoder."""
TOKENS_PER_FRAME = 50
"""Whisper: 10 steps of 20 ms by 5 layers. The network takes any number."""
PIXELS_PER_LATENT = 8

Motion = Literal["none", "decoder", "all"]
"""Which blocks have layers that look along time. The middle block never has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetConfig:
    """All that decides the weights' names and shapes.

    Raises:
        ValueError: a width is no multiple of 32, there are not four, or another size is impossible.
    """

    widths: tuple[int, int, int, int] = (320, 640, 1280, 1280)
    """Channels at 1/1, 1/2, 1/4 and 1/8 of the latents' edge."""
    audio_width: int = 384
    """Numbers per audio token: 384 is Whisper tiny, 768 Whisper small."""
    motion: Motion = "all"
    max_frames: int = 24
    """Length of the motion layers' position tables; no clip may be longer. 24 is published."""
    latent_channels: int = LATENT_CHANNELS
    """Of the autoencoder. The network takes 3 times as many and a mask, and returns as many."""
    layers_per_block: int = 2

    def __post_init__(self) -> None:
        if len(self.widths) != 4 or any(w <= 0 or w % NORM_GROUPS for w in self.widths):
            raise ValueError(f"widths: {self.widths}; give four multiples of {NORM_GROUPS}")
        if self.motion not in ("none", "decoder", "all"):
            raise ValueError(f"motion: {self.motion!r}; choose none, decoder or all")
        if min(self.audio_width, self.max_frames, self.latent_channels, self.layers_per_block) < 1:
            raise ValueError(
                "audio_width, max_frames, latent_channels and layers_per_block must be 1 or more"
            )

    @property
    def input_channels(self) -> int:
        """Noisy latents, keep-mask, latents of the masked picture and of the reference: 13."""
        return 3 * self.latent_channels + 1

    @property
    def noisy(self) -> slice:
        """Return the input channels of the noisy latents."""
        return slice(0, self.latent_channels)

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> "UNetConfig":
        """Read what `section` gave.

        Raises:
            ValueError: an unknown key, or an impossible value.
            TypeError: `widths` is no sequence.
        """
        if unknown := sorted(set(section) - set(cls.__slots__)):
            raise ValueError(f"unknown keys: {unknown}; known: {list(cls.__slots__)}")
        values = dict(section)
        if "widths" in values:
            values["widths"] = tuple(values["widths"])
        return cls(**values)

    def section(self) -> dict[str, Any]:
        """Return plain values, for JSON or YAML."""
        return {
            "widths": list(self.widths),
            "audio_width": self.audio_width,
            "motion": self.motion,
            "max_frames": self.max_frames,
            "latent_channels": self.latent_channels,
            "layers_per_block": self.layers_per_block,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentSyncStage:
    """One published training stage, as far as the network is concerned."""

    unet: UNetConfig
    trained: tuple[str, ...]
    """Parts of parameter names; what holds none of them is frozen. Empty: all is trained."""
    resolution_px: int
    frames: int = 16
    published_batch: int
    """Clips per GPU, as the authors' configuration says."""
    published_memory_gb: int | None
    """Of one GPU, with one clip. The authors' figure, not measured here."""
    sizes_follow_parts: bool = False
    """Whether the network takes the channels of whatever autoencoder and the width of whatever
    audio encoder the profile names. False: as published, and other parts are an error."""

    @property
    def latent_size(self) -> int:
        """Height and width of the latents."""
        return self.resolution_px // PIXELS_PER_LATENT


IMAGE = UNetConfig(motion="none")
VIDEO = UNetConfig(motion="all")
DECODER = UNetConfig(motion="decoder")
TINY = UNetConfig(widths=(32, 64, 64, 64))
"""5.4 M parameters. No published size: for the golden tests."""

MINI = UNetConfig(widths=(64, 64, 64, 64), layers_per_block=1)
"""4.6 M parameters with `pixels-8` and `mel`, for training on two cores. In TINY's 32 channels
every group of a norm is one channel, and the norm removes the shift that carries the timestep
embedding."""

EVERYTHING: tuple[str, ...] = ()
MOTION_AND_ATTENTION = ("motion_modules.", "attentions.")
MOTION_AND_AUDIO = ("motion_modules.", "attn2.")

STAGES: dict[str, LatentSyncStage] = {
    "tiny": LatentSyncStage(
        unet=TINY,
        trained=EVERYTHING,
        resolution_px=256,
        published_batch=1,
        published_memory_gb=None,
    ),
    "mini": LatentSyncStage(
        unet=MINI,
        trained=EVERYTHING,
        resolution_px=64,
        published_batch=1,
        published_memory_gb=None,
        sizes_follow_parts=True,
    ),
    "mini_no_motion": LatentSyncStage(
        unet=replace(MINI, motion="none"),
        trained=EVERYTHING,
        resolution_px=64,
        published_batch=1,
        published_memory_gb=None,
        sizes_follow_parts=True,
    ),
    "stage1": LatentSyncStage(
        unet=IMAGE,
        trained=EVERYTHING,
        resolution_px=256,
        published_batch=24,
        published_memory_gb=23,
    ),
    "stage2": LatentSyncStage(
        unet=VIDEO,
        trained=MOTION_AND_ATTENTION,
        resolution_px=256,
        published_batch=4,
        published_memory_gb=30,
    ),
    "stage2_efficient": LatentSyncStage(
        unet=DECODER,
        trained=MOTION_AND_AUDIO,
        resolution_px=256,
        published_batch=4,
        published_memory_gb=20,
    ),
    "stage1_512": LatentSyncStage(
        unet=IMAGE,
        trained=EVERYTHING,
        resolution_px=512,
        published_batch=8,
        published_memory_gb=30,
    ),
    "stage2_512": LatentSyncStage(
        unet=VIDEO,
        trained=MOTION_AND_ATTENTION,
        resolution_px=512,
        published_batch=4,
        published_memory_gb=55,
    ),
}
