"""Sections `avsyncnet`, `silent_lip`, `stabilized` of params.yaml: the systems of Yaman et al."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.params.clip_use import ClipUseParams
from pipeline.params.fit import FitParams
from pipeline.params.training import (
    AugmentationParams,
    Count,
    Profiles,
    TrainSection,
    Weight,
)

When = Literal["when_named", "always"]
"""when_named: the stage trains where `dvc repro NAME` names it."""
Floor = Annotated[float, Field(gt=0, lt=1)]


class AvSyncNetProfile(TrainSection):
    """One way to train AVSyncNet. The default is our `tiny`: two cores, minutes."""

    network: str = "tiny"
    """A name of CONFIGS in trainers/systems/avsyncnet/configs.py."""
    item: Literal["windows", "pair"] = "windows"
    """pair: one picture, one sound, as published. windows: all pairs of a clip's windows."""
    windows: Annotated[int, Field(ge=2)] = 12
    batch: Count = 4
    """Items per optimizer step, all processes together."""
    contrast_weight: Weight = 1.0
    """Of finding the right picture among an item's (InfoNCE). Published: 0."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    augmentation: AugmentationParams = AugmentationParams(flip=0.5)
    shift: Annotated[float, Field(ge=0, le=0.25)] = 0.0
    """The picture of an item moves by up to this share of its edge. Published: 0."""
    validation_clips: Count = 256
    validation_windows: Annotated[int, Field(ge=2)] = 32
    data: ClipUseParams = ClipUseParams()
    """Tier and seconds of the train split; docs/loader.md."""
    in_flight_clips: Count = 64
    windows_per_clip: Count = 64
    fit: FitParams = FitParams(
        max_steps=200,
        optimizer="adam",
        learning_rate=1e-3,
        beta1=0.5,
        weight_decay=0.0,
        schedule="cosine",
        warmup_steps=20,
        max_grad_norm=1.0,
        validate_every=100,
        save_every=100,
        log_every=25,
    )

    @model_validator(mode="after")
    def _possible(self) -> "AvSyncNetProfile":
        if self.item == "pair" and self.contrast_weight:
            raise ValueError("contrast_weight needs item: windows; with item: pair set it to 0")
        return self


class TalkerProfile(TrainSection):
    """One way to train a generator of Yaman et al.: G_S (`silent_lip`) or G_L (`stabilized`)."""

    network: str = "tiny"
    """A name of CONFIGS in trainers/systems/stabilized/configs.py."""
    avsyncnet: str = "models/avsyncnet/avsyncnet.safetensors"
    """Its audio tower is the generator's, frozen; all of it judges where `sync_loss` is on."""
    silent_lip: str = "models/silent_lip/generator.safetensors"
    """G_S. Read only if `silent_lips`, or to start from it."""
    start: Literal["random", "silent_lip"] = "random"
    """silent_lip: begin with G_S's weights, which saves G_L steps. The paper does not say."""
    silent_lips: bool = True
    """Whether G_S closes the mouth of every identity reference, in training and in dubbing."""
    sync_loss: Literal["stabilized", "wav2lip", "none"] = "stabilized"
    """stabilized: L_ss. wav2lip: -log of the cosine (Prajwal et al. 2020)."""
    triplet: Literal["adaptive", "plain", "none"] = "adaptive"
    """adaptive: L_at. plain: the difference of two distances and a margin of 1."""
    vgg: str = "stand-in:vgg19"
    """vgg19, published; or its stand-in of random weights."""
    gan_weight: Weight = 1.0
    pixel_weight: Weight = 10.0
    perceptual_weight: Weight = 1.0
    sync_weight: Weight = 2.0
    triplet_weight: Weight = 0.5
    """All five published."""
    sync_floor: Floor = 0.01
    """Epsilon of L_ss, a difference of cosines; not published."""
    triplet_floor: Floor = 0.05
    """Guard of L_at's denominator, a distance of features; not published."""
    batch: Count = 4
    """Windows of five frames per optimizer step, all processes together; not published."""
    sample_clips: Annotated[int, Field(ge=0)] = 2
    """Held-out clips that are dubbed every `fit.sample_every` steps."""
    sample_frames: Count = 50
    augmentation: AugmentationParams = AugmentationParams(flip=0.5)
    validation_batches: Count = 8
    data: ClipUseParams = ClipUseParams()
    """Tier and seconds of the train split; docs/loader.md."""
    in_flight_clips: Count = 48
    windows_per_clip: Count = 256
    fit: FitParams = FitParams(
        max_steps=300,
        optimizer="adam",
        learning_rate=1e-3,
        beta1=0.5,
        weight_decay=0.0,
        schedule="cosine",
        warmup_steps=20,
        max_grad_norm=None,
        validate_every=150,
        save_every=100,
        log_every=25,
        sample_every=300,
    )

    @property
    def sync_on(self) -> bool:
        """Whether AVSyncNet judges the pictures."""
        return self.sync_loss != "none" and self.sync_weight > 0

    @property
    def triplet_on(self) -> bool:
        """Whether the reference pushes."""
        return self.triplet != "none" and self.triplet_weight > 0


def _tiny_stabilized() -> TalkerProfile:
    """Return G_L's `tiny`: with the published weight of L_ss its small judge is deceived."""
    plain = TalkerProfile()
    shorter = {"max_steps": 200, "learning_rate": 5e-4, "validate_every": 50, "sample_every": 200}
    fit = plain.fit.model_copy(update=shorter)
    return plain.model_copy(update={"start": "silent_lip", "sync_weight": 0.2, "fit": fit})


class AvSyncNetParams(Profiles[AvSyncNetProfile]):
    """The sync network of Yaman et al."""

    run: When = "when_named"
    profiles: dict[str, AvSyncNetProfile] = Field(
        default_factory=lambda: {"tiny": AvSyncNetProfile()}
    )


def _silent(profile: TalkerProfile) -> bool:
    alone = profile.start == "random" and not profile.silent_lips
    return alone and not (profile.sync_on or profile.triplet_on)


class SilentLipParams(Profiles[TalkerProfile]):
    """G_S, the generator that closes mouths when it hears silence."""

    run: When = "when_named"
    profiles: dict[str, TalkerProfile] = Field(
        default_factory=lambda: {
            "tiny": TalkerProfile(
                silent_lips=False,
                sync_loss="none",
                triplet="none",
                in_flight_clips=32,
                windows_per_clip=32,
            )
        }
    )

    @model_validator(mode="after")
    def _plain(self) -> "SilentLipParams":
        for name, profile in self.profiles.items():
            if not _silent(profile):
                raise ValueError(
                    f"profiles.{name}: G_S is trained without silent_lips, sync_loss, triplet and "
                    "a start; set them to false, none, none and random"
                )
        return self


class StabilizedParams(Profiles[TalkerProfile]):
    """G_L, the talking face with stabilized synchronization loss."""

    run: When = "when_named"
    profiles: dict[str, TalkerProfile] = Field(default_factory=lambda: {"tiny": _tiny_stabilized()})
