"""Claims on the lip-sync diffusion model, with the bench's profile for it.

Every run trains for two to three minutes of one core. StableSyncNet for its sync loss is the one
that claim `a` trains on our clips with seed 0. Openings are read as docs/evaluate.md says.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.claims.claim import Claim, Comparison, Variant
from benchmarks.claims.syncnet_claims import LATENTSYNC
from benchmarks.claims.temporal_encoder import FEATURES

STEPS = 240
LONGER_STEPS = 276
"""Of a run without the sync loss: as many CPU seconds as `STEPS` with it (0.62 against 0.71 s)."""
BASE: Mapping[str, Any] = {
    "sync_weight": 0.05,
    "sample_clips": 0,
    "sample_steps": 4,
    "fit.max_steps": STEPS,
    "fit.validate_every": 40,
    "fit.save_every": 60,
    "fit.log_every": 20,
    "fit.sample_every": None,
}
QUICK: Mapping[str, Any] = {
    "batch": 1,
    "validation_batches": 1,
    "fit.max_steps": 2,
    "fit.warmup_steps": 0,
    "fit.validate_every": 2,
}
PUBLISHED_TREPA = 10 / 1408
"""LatentSync's weight over the length of its encoder's features: the loss is 2 (1 - cos) / length,
so this times the length of another encoder's features weighs the cosine alike."""


_variant = partial(Variant.of, "diffusion")
NOISE: Mapping[str, Any] = {
    "prediction": "epsilon",
    "timestep_power": 1.0,
    "hole_loss": False,
    "sample_steps": 8,
}
DEFAULT = _variant("the default")
WITHOUT_SYNC = _variant("without SyncNet, equal steps", sync_weight=0.0)
LONGER = _variant("without SyncNet, equal time", sync_weight=0.0, fit__max_steps=LONGER_STEPS)
_LISTENING = (
    "own_r",
    "foreign_r",
    "leak_r",
    "chance_r",
    "amplitude",
    "temporal_error",
    "mouth_psnr_db",
)
_SUPERVISION_HERE = (
    "The default model with and without the term, weight 0.05, for equal steps and for equal CPU "
    "time. In place of the paper's SyncNet confidence: the correlation of the made mouth's opening "
    "with that of the film whose sound it got. Our StableSyncNet has seen 4 minutes of film."
)

SUPERVISION = Claim(
    key="c.listens",
    title="SyncNet supervision makes the model listen",
    statement="Without a SyncNet loss the model hardly follows the sound (confidence 4.6); with it "
    "in pixel space it does (8.9).",
    source=f"{LATENTSYNC}, section 3 and table on SyncNet supervision",
    here=_SUPERVISION_HERE,
    variants={"with": DEFAULT, "without": WITHOUT_SYNC, "longer": LONGER},
    comparisons=(
        Comparison(metric="foreign_r", higher="with", lower="without"),
        Comparison(metric="foreign_r", higher="with", lower="longer"),
    ),
    also=_LISTENING,
)

MOVEMENT = Claim(
    key="c.moves",
    title="SyncNet supervision makes the mouth move as far as it should",
    statement="With the SyncNet loss the mouth opens wider than with reconstruction alone.",
    source="our reading of LatentSync's comparison; not claimed there in these words",
    here=_SUPERVISION_HERE + " Compared is the amplitude of the opening, 1 as in the film.",
    variants={"with": DEFAULT, "without": WITHOUT_SYNC, "longer": LONGER},
    comparisons=(
        Comparison(metric="amplitude", higher="with", lower="without"),
        Comparison(metric="amplitude", higher="with", lower="longer"),
    ),
    also=_LISTENING,
)

SPACE = Claim(
    key="c.space",
    title="Supervision in pixels needs an autoencoder that keeps lips",
    statement="SyncNet supervision in pixel space beats supervision in latent space (8.9 against "
    "7.9), because a latent loses what lips show.",
    source=f"{LATENTSYNC}, table on SyncNet supervision",
    here="A SyncNet of latents cannot be shown here. What can is its reason: the same model and "
    "supervision with lossless latents (pixels moved into channels) and with latents of "
    "averaged blocks, from which the opening of a mouth of 64 pixels cannot be read back reliably.",
    variants={
        "pixels": DEFAULT,
        "blocks": _variant("stand-in:blocks", vae="stand-in:blocks"),
        "blocks_without": _variant(
            "stand-in:blocks, without SyncNet", vae="stand-in:blocks", sync_weight=0.0
        ),
    },
    comparisons=(Comparison(metric="foreign_r", higher="pixels", lower="blocks"),),
    also=(*_LISTENING, "vae_r"),
)

PREDICTION = Claim(
    key="c.prediction",
    title="A model that predicts the clean picture hears more than one that predicts the noise",
    statement="In the noise the sound's share of the loss is tiny; in the picture it is seen.",
    source="this project; LatentSync predicts noise",
    here="The same network, data, number of steps and SyncNet loss. The noise predictor draws "
    "timesteps evenly, its error counts everywhere, as in LatentSync, and it samples with 8 steps. "
    "Both with lossless latents and with the 4 channels of averaged blocks, where the noise "
    "predictor can begin by passing its input on (docs/latent_diffusion.md).",
    variants={
        "clean": DEFAULT,
        "noise": _variant("noise, lossless latents", **NOISE),
        "clean_blocks": _variant("clean, stand-in:blocks", vae="stand-in:blocks"),
        "noise_blocks": _variant("noise, stand-in:blocks", vae="stand-in:blocks", **NOISE),
    },
    comparisons=(
        Comparison(metric="foreign_r", higher="clean", lower="noise"),
        Comparison(metric="foreign_r", higher="clean_blocks", lower="noise_blocks"),
    ),
    also=(*_LISTENING, "vae_r"),
)

EARS = Claim(
    key="c.ears",
    title="A window of the spectrogram is heard, 50 tokens of a random network are not",
    statement="Without Whisper's weights the model needs tokens that say what is heard.",
    source="this project",
    here="One token of the log-mel window per frame against the 50 tokens per frame of a Whisper "
    "with random weights. Nothing is said of real Whisper features.",
    variants={
        "mel": DEFAULT,
        "random": _variant("stand-in:whisper-tiny", whisper="stand-in:whisper-tiny"),
    },
    comparisons=(Comparison(metric="foreign_r", higher="mel", lower="random"),),
    also=_LISTENING,
)

SHORTCUT = Claim(
    key="d.shortcut",
    title="A reference that shows the mouth is copied",
    statement="If the reference is the target or its neighbour, the model learns to copy the mouth "
    "and not to listen; a reference from another moment makes it listen.",
    source=f"{LATENTSYNC}, section 3 on the shortcut; its inference nevertheless shows the target",
    here="Training reference from another moment, one frame beside the target, or the target "
    "itself. Tested with foreign sound: with a reference from another moment (`foreign_r`, "
    "`leak_r`), and with the pictures themselves (`foreign_itself_r`, `leak_itself_r`), as "
    "LatentSync's inference does. Deciding: who follows the sound, and who copies when it can.",
    variants={
        "apart": DEFAULT,
        "near": _variant("reference beside the target", reference="near"),
        "self": _variant("reference is the target", reference="self"),
    },
    comparisons=(
        Comparison(metric="foreign_r", higher="apart", lower="near"),
        Comparison(metric="foreign_r", higher="apart", lower="self"),
        Comparison(metric="leak_itself_r", higher="near", lower="apart"),
        Comparison(metric="leak_itself_r", higher="self", lower="apart"),
    ),
    also=(
        *_LISTENING,
        "foreign_itself_r",
        "kept_pixels_r",
        "geometry_r",
        "regression_r",
    ),
)

TREPA = Claim(
    key="e.trepa",
    title="TREPA improves temporal consistency",
    statement="Aligning the features of a video encoder makes generated video temporally more "
    "consistent.",
    source=f"{LATENTSYNC}, section 3, TREPA",
    here="VideoMAE-v2's weights are absent. In their place stands a small encoder that was trained "
    "for this, on the training films, to tell windows as filmed from shuffled, held and "
    "flickering ones; the term's weight gives the cosine the strength it has in the paper. "
    "Measured: how far the roughness in time of the made mouths is from the film's.",
    variants={
        "with": _variant(
            "with TREPA, encoder trained on the demo films",
            trepa_weight=round(PUBLISHED_TREPA * FEATURES, 4),
        ),
        "without": DEFAULT,
    },
    comparisons=(Comparison(metric="temporal_error", higher="without", lower="with"),),
    also=("roughness_ratio", *_LISTENING),
)

MOTION = Claim(
    key="e.motion",
    title="Temporal layers improve temporal consistency",
    statement="Attention over time makes video consistent.",
    source=f"{LATENTSYNC}, version 1.5; Guo et al. 2023, AnimateDiff, for the layers",
    here="All motion layers against none. Norms still see all frames of a window together, as in "
    "the published network, so even without the layers a frame is not alone.",
    variants={"all": DEFAULT, "none": _variant("no motion layers", stage="mini_no_motion")},
    comparisons=(Comparison(metric="temporal_error", higher="none", lower="all"),),
    also=("roughness_ratio", *_LISTENING),
)

GEOMETRY = Claim(
    key="f",
    title="The crop's movement tells the mouth",
    statement="Aligned crops move with the mouth, because landmarks do; a model trained on them "
    "reads the mouth from the kept pixels. Random shifts per frame in training lower this leak.",
    source="measurements of this project on its own crops; SyncDiff and LatentSync only mask more",
    here="Every frame of training moved by a random shift of half a pixel of 64 (standard "
    "deviation), as in the default, against none. Leak: the correlation of the made opening with "
    "the mouth that the picture had, while foreign sound is played. `geometry_r` and "
    "`kept_pixels_r` say what can be read from the crop's position and from the kept pixels "
    "without any model.",
    variants={"plain": _variant("no crop jitter", crop_jitter_px=0.0), "jitter": DEFAULT},
    comparisons=(
        Comparison(metric="leak_r", higher="plain", lower="jitter"),
        Comparison(metric="foreign_r", higher="jitter", lower="plain"),
    ),
    also=(*_LISTENING, "kept_pixels_r", "geometry_r"),
)

DIFFUSION_CLAIMS = (
    SUPERVISION,
    MOVEMENT,
    SPACE,
    PREDICTION,
    EARS,
    SHORTCUT,
    TREPA,
    MOTION,
    GEOMETRY,
)
