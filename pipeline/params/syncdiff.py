"""The section `syncdiff` of params.yaml: how the frame-wise diffusion model is trained."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.bounds import SamplingSteps
from pipeline.params.clip_use import ClipUseParams
from pipeline.params.fit import FitParams
from pipeline.params.training import (
    AugmentationParams,
    Count,
    Profiles,
    TrainSection,
    Weight,
)

AV_HUBERT_LAYERS = 12


class SyncDiffProfile(TrainSection):
    """One way to train SyncDiff. The default is our `tiny`: two cores, minutes.

    docs/syncdiff.md says where it leaves the published recipe.
    """

    network: str = "mini"
    """A name of CONFIGS in trainers/systems/syncdiff/configs.py."""
    resolution_px: Annotated[int, Field(ge=32, multiple_of=32)] = 64
    """Height and width of the faces; published: 256."""
    autoencoder: str = "pixels-8"
    """vq-f4:FILE, published; stand-in:vq-f4; or pixels-8, which loses nothing."""
    audio: str = "mel"
    """av-hubert:FILE, published; stand-in:av-hubert; or mel, a window of the spectrogram."""
    frozen_layers: Annotated[int, Field(ge=0, le=AV_HUBERT_LAYERS)] = 9
    """Of AV-HuBERT's 12; the others are trained. Without effect on mel."""
    pose: Literal["bottleneck", "direct", "none"] = "bottleneck"
    """How the frame before reaches the network: through the bottleneck, as published; as it is; or
    not at all."""
    pose_norm: Literal["batch", "none"] = "batch"
    """Batch norm behind the bottleneck; the paper's BN(E_p) may mean that, or the bottleneck."""
    pose_noise: Weight = 1.0
    """Deviation of the noise on the latents of the frame before, in training. Published: 0."""
    prediction: Literal["epsilon", "x0"] = "x0"
    """epsilon: the noise, as published. x0: the clean latents."""
    timestep_power: Annotated[float, Field(gt=0)] = 3.0
    """p of t = 1000 u^(1/p): more draws more noise. Published: 1."""
    hole_loss: bool = True
    """Count the error inside of the masked half only. Published: everywhere."""
    token_noise: Weight = 0.1
    """Deviation of the noise on the sound's features in training. Published: 0."""
    batch: Count = 48
    """Frames per optimizer step, all processes together; published: 48."""
    gradient_checkpointing: bool = False
    sample_clips: Annotated[int, Field(ge=0)] = 2
    """Held-out clips that are dubbed every `fit.sample_every` steps."""
    sample_frames: Count = 50
    """Length of these."""
    sample_steps: SamplingSteps = 2
    """Of DDIM; published: 200. It stands in the model's facts, for dubbing."""
    augmentation: AugmentationParams = AugmentationParams(flip=0.5)
    validation_batches: Count = 2
    data: ClipUseParams = ClipUseParams()
    """Tier and seconds of the train split; docs/loader.md."""
    in_flight_clips: Count = 48
    windows_per_clip: Count = 256
    fit: FitParams = FitParams(
        max_steps=500,
        learning_rate=1e-3,
        schedule="cosine",
        warmup_steps=20,
        ema_decay=0.99,
        validate_every=250,
        save_every=100,
        log_every=20,
        sample_every=500,
    )


class SyncDiffParams(Profiles[SyncDiffProfile]):
    """Frame-wise latent diffusion with the frame before as pose."""

    run: Literal["when_named", "always"] = "when_named"
    """when_named: the stage trains where `dvc repro syncdiff` names it."""
    profiles: dict[str, SyncDiffProfile] = Field(
        default_factory=lambda: {"tiny": SyncDiffProfile()}
    )
