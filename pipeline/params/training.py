"""The trainers' sections of params.yaml: named profiles, and which of them is used.

A profile is everything that decides the weights. `dvc exp run -S train_ldm.profile=stage2`
switches; the numbers of every profile stand in params.yaml.
"""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.params.bounds import Guidance, SamplingSteps, Seed, WindowFrames
from pipeline.params.clip_use import ClipUseParams
from pipeline.params.fit import FitParams

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Quality = Annotated[int, Field(ge=1, le=100)]


class TrainSection(BaseModel):
    """Unknown keys and impossible values stop the run, as in every section."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Profile = TypeVar("Profile", bound=TrainSection)


class Profiles(TrainSection, Generic[Profile]):
    """Named sets of numbers, and the name of the one in use."""

    profiles: dict[str, Profile]
    profile: Annotated[str, Field(validate_default=True)] = "tiny"

    @field_validator("profile")
    @classmethod
    def _known(cls, profile: str, given: ValidationInfo) -> str:
        known = sorted(given.data.get("profiles", [profile]))
        if profile not in known:
            raise ValueError(f"no such profile; known here: {', '.join(known)}")
        return profile

    @property
    def chosen(self) -> Profile:
        """The profile in use."""
        return self.profiles[self.profile]


class AugmentationParams(TrainSection):
    """Shares of windows whose pictures are changed; one look for all frames of a window."""

    flip: Share = 0.0
    colour: Share = 0.0
    colour_strength: Share = 0.2
    jpeg: Share = 0.0
    h264: Share = 0.0


class FeaturesParams(TrainSection):
    """Whisper features and latents made once, as tars beside the shards."""

    whisper: Annotated[str, Field(min_length=1)] = "none"
    """none: trainers make them while they read. tiny, small, a stand-in, OpenAI's file or a Hugging
    Face folder: the stage makes them, and the trainer's profile must name the same."""
    av_hubert: Annotated[str, Field(min_length=1)] = "none"
    """none: made while reading. av-hubert-N:FILE or stand-in:av-hubert-N: what its first N layers
    make, for `syncdiff`, whose profile must name the same file and frozen_layers: N."""
    latents: Annotated[str, Field(min_length=1)] = "none"
    """none: the trainer encodes the pictures of every window. sd-vae-ft-mse, taesd or a stand-in:
    the stage encodes all frames, plain and masked, and the trainer's profile must name the same."""
    latents_px: Annotated[int, Field(ge=8, multiple_of=8)] = 256
    """Height and width of the encoded pictures; the resolution of the profile's stage."""


class SyncnetProfile(TrainSection):
    """One way to train StableSyncNet. The default is our `tiny`: two cores, minutes.

    `item: pair`, `negatives: compat`, `mel: compat`, batch 1024, learning rate 1e-5 and no dropout
    are LatentSync's recipe (Li et al. 2024); docs/stable_syncnet.md says what each change gave.
    """

    network: str = "tiny"
    """A name of trainers/systems/stable_syncnet/configs.py."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of both towers; published: 0."""
    gradient_checkpointing: bool = False
    item: Literal["windows", "pair"] = "windows"
    """pair: one picture, one sound, in sync or not, as published. windows: several windows of one
    clip, each embedded once and every sound compared with every picture (multi-way matching,
    Chung et al., "Perfect Match", 2019), so that a clip of 8 windows gives 64 pairs."""
    windows: Annotated[int, Field(ge=2)] = 8
    """Windows of an item."""
    batch: Count = 4
    """Items per optimizer step, all processes together: clips, or pairs."""
    bce_weight: Annotated[float, Field(gt=0)] = 1.0
    """Of the published loss; positives and negatives of an item weigh half each. It calibrates:
    0.5 must separate, and the pixel loss of the diffusion model is -log of the cosine."""
    contrast_weight: Weight = 1.0
    """Of the cross-entropy of finding the right picture among an item's, and the right sound
    (InfoNCE, van den Oord et al. 2018). Published: 0; needs `item: windows`."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Cosines are divided by it in that cross-entropy."""
    mel: Literal["exact", "compat"] = "exact"
    """Where a sound's window begins: trainers/audio/mel.py. Published: compat."""
    negatives: Literal["non_overlapping", "compat"] = "non_overlapping"
    """Which windows of a clip are negatives of one another:
    trainers/systems/stable_syncnet/pairs.py. Published: compat."""
    clamp: bool = True
    """Cut the cosine to 0 ... 1; without it rounding can end a run."""
    augmentation: AugmentationParams = AugmentationParams(flip=0.5)
    """One look for all windows of an item. Published: none."""
    shift: Annotated[float, Field(ge=0, le=0.25)] = 0.0
    """The picture of an item moves by up to this share of its edge. Published: 0."""
    gain_db: Weight = 0.0
    """The sound of an item is louder or softer by up to so many decibels. Published: 0."""
    validation_clips: Count = 256
    """Held-out clips measured, drawn by the seed; all if there are fewer."""
    validation_windows: Annotated[int, Field(ge=2)] = 32
    """Evenly spaced windows of each; all their pairs are compared."""
    data: ClipUseParams = ClipUseParams()
    """Tier and seconds of the train split; docs/loader.md."""
    in_flight_clips: Count = 64
    windows_per_clip: Count = 64
    """Items drawn from a clip before it is decoded again."""
    fit: FitParams = FitParams(
        max_steps=160,
        learning_rate=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warmup_steps=20,
        final_learning_rate_share=0.02,
        ema_decay=0.99,
        validate_every=50,
        save_every=100,
        log_every=25,
        best_metric="loss",
        final="best",
    )

    @model_validator(mode="after")
    def _possible(self) -> "SyncnetProfile":
        if self.item == "pair" and self.contrast_weight:
            raise ValueError("contrast_weight needs item: windows; with item: pair set it to 0")
        return self


class LdmProfile(TrainSection):
    """One way to train the lip-sync diffusion model. The default is our `tiny`: two cores, minutes.

    docs/latent_diffusion.md says where it leaves the published recipe.
    """

    stage: str = "mini"
    """A name of STAGES in trainers/systems/latentsync/configs.py."""
    start: str = ""
    """Nothing, `sd-v1-5:<file>`, or another stage's weights (a folder or file)."""
    keep_noisy_input: bool = False
    """Start from `sd-v1-5` seeing the noisy latents; False is as published, and starts blind."""
    prediction: Literal["epsilon", "x0"] = "x0"
    """epsilon: the noise, as published. x0: the clean latents, in which the sound is seen."""
    timestep_power: Annotated[float, Field(gt=0)] = 3.0
    """p of t = 1000 u^(1/p): more draws more noise, where there is only the sound to go by.
    Published: 1."""
    hole_loss: bool = True
    """Count the prediction's error inside of the mask's hole only. Published: everywhere."""
    reference: Literal["apart", "near", "self"] = "apart"
    """Where a window's reference lies in training. apart: no common frame, as published. The others
    teach to copy the mouth, and are there to show it."""
    vae: str = "pixels-8"
    whisper: str = "mel"
    """mel: a window of the spectrogram per frame, without a network. Or an encoder of Whisper."""
    lpips: str = "lpips-vgg"
    videomae: str = "videomae-v2-giant"
    syncnet: str = "models/train_syncnet/stable_syncnet.safetensors"
    mel: Literal["exact", "compat"] = "exact"
    """Where StableSyncNet's sound begins; as it was trained."""
    batch: Count = 2
    """Clips per optimizer step, all processes together."""
    frames: WindowFrames = 16
    noise_alpha: Weight = 1.0
    noise_weight: Weight = 1.0
    sync_weight: Weight = 0.05
    lpips_weight: Weight = 0.0
    trepa_weight: Weight = 0.0
    """A weight of 0 leaves the loss out, and its networks unloaded. Published: 0.1 and 10."""
    gate: Literal["none", "cutoff", "snr"] = "none"
    gate_max_timestep: Annotated[int, Field(ge=1, le=1000)] = 500
    clamp: bool = True
    antialias: bool = True
    audio_dropout: Share = 0.1
    """Share of clips trained without sound, which guidance needs; 0 is as published."""
    token_noise: Weight = 0.1
    """Deviation of the noise added to the audio tokens in training. Published: 0."""
    crop_jitter_px: Weight = 0.5
    """Deviation of a random shift of every frame in training, against what the crop's own movement
    tells of the mouth. Published: 0."""
    gradient_checkpointing: bool = False
    """Half the speed or better, for a fraction of the memory; the gradient stays the same."""
    sample_clips: Annotated[int, Field(ge=0)] = 2
    """Held-out clips that are dubbed every `fit.sample_every` steps."""
    sample_steps: SamplingSteps = 2
    """Of DDIM; published: 20. This and the next two stand in the model's facts, for dubbing."""
    sample_guidance: Guidance = 1.5
    """Published: 1.5."""
    sample_temperature: Share = 1.0
    """Strength of the noise that sampling starts from; 1 is what training saw, and published."""
    sample_reference: Literal["self", "apart"] = "apart"
    """Which faces dubbing shows the network: those to be changed, as published, or other ones."""
    augmentation: AugmentationParams = AugmentationParams(flip=0.5)
    validation_batches: Count = 4
    data: ClipUseParams = ClipUseParams()
    """Tier and seconds of the train split; docs/loader.md."""
    in_flight_clips: Count = 16
    windows_per_clip: Count = 16
    fit: FitParams = FitParams(
        max_steps=540,
        learning_rate=1e-3,
        schedule="cosine",
        warmup_steps=20,
        ema_decay=0.99,
        validate_every=270,
        save_every=100,
        log_every=20,
        sample_every=540,
    )

    @model_validator(mode="after")
    def _possible(self) -> "LdmProfile":
        if not (self.noise_weight or self.sync_weight or self.lpips_weight or self.trepa_weight):
            raise ValueError("one of noise_, sync_, lpips_ and trepa_weight must be above 0")
        if self.keep_noisy_input and not self.start.startswith("sd-v1-5:"):
            raise ValueError("keep_noisy_input needs start: sd-v1-5:<file>")
        return self


class EvaluateParams(TrainSection):
    """What is measured on held-out clips. The defaults are for two cores and a minute."""

    split: Literal["val", "test", "held_out"] = "held_out"
    """held_out: val and test together."""
    syncnet_pairs: Annotated[int, Field(ge=2)] = 512
    """Pairs of the published protocol, drawn by `seed`; published: 2048."""
    clips: Count = 12
    """Held-out clips that are dubbed, own sound and foreign sound; all if there are fewer."""
    silence_clips: Annotated[int, Field(ge=0)] = 3
    """How many of them are also dubbed with silence."""
    reader_clips: Count = 64
    """Clips of the train split from which the readers of the mouth's opening learn."""
    steps: SamplingSteps = 2
    """Of DDIM; published: 20."""
    guidance: Guidance = 1.5
    """1 is without, and half the time; published: 1.5."""
    temperature: Share = 1.0
    """Strength of the noise that sampling starts from; published: 1, which is what training saw."""
    max_seconds: Annotated[float, Field(ge=1.28)] = 10.0
    """Longer clips are cut."""
    fid: str = "none"
    """Network of the Fréchet inception distance (docs/evaluate.md), or none."""
    fvd: str = "none"
    """Network of the Fréchet video distance, or none."""
    seed: Seed = 0


class TrainSyncnetParams(Profiles[SyncnetProfile]):
    """StableSyncNet."""

    profiles: dict[str, SyncnetProfile] = {"tiny": SyncnetProfile()}


class TrainLdmParams(Profiles[LdmProfile]):
    """The lip-sync diffusion model."""

    profiles: dict[str, LdmProfile] = {"tiny": LdmProfile()}
    preflight_steps: Annotated[int, Field(ge=0)] = 0
    """Most steps in which the pre-flight tries to learn one batch by heart; 0: it does not try."""
