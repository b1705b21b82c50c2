"""Claims on the neighbours: AVSyncNet, its generators, and SyncDiff, with the bench's profiles.

Every run trains for one to two minutes of one core. The generators hear with, and are judged by,
the AVSyncNet that claim `g` trains with seed 0, and begin with the weights of one G_S. What is
measured is measured on val and test together.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.claims.claim import Claim, Comparison, Variant

AVSYNCNET_STEPS, SILENT_LIP_STEPS, TALKER_STEPS, SYNCDIFF_STEPS = 120, 150, 40, 80
AVSYNCNET_BASE: Mapping[str, Any] = {
    "validation_windows": 16,
    "fit.max_steps": AVSYNCNET_STEPS,
    "fit.validate_every": 40,
}
AVSYNCNET_QUICK: Mapping[str, Any] = {
    "windows": 4,
    "batch": 1,
    "in_flight_clips": 2,
    "validation_clips": 1,
    "validation_windows": 4,
    "fit.max_steps": 2,
    "fit.warmup_steps": 0,
    "fit.validate_every": 2,
}
SILENT_LIP_BASE: Mapping[str, Any] = {
    "sample_clips": 0,
    "fit.max_steps": SILENT_LIP_STEPS,
    "fit.validate_every": 150,
    "fit.sample_every": None,
}
STABILIZED_BASE: Mapping[str, Any] = {
    "sample_clips": 0,
    "validation_batches": 4,
    "fit.max_steps": TALKER_STEPS,
    "fit.warmup_steps": 5,
    "fit.validate_every": 20,
    "fit.save_every": 20,
    "fit.sample_every": None,
}
TALKER_QUICK: Mapping[str, Any] = {
    "batch": 1,
    "in_flight_clips": 2,
    "validation_batches": 1,
    "fit.max_steps": 2,
    "fit.warmup_steps": 0,
    "fit.validate_every": 2,
}
SYNCDIFF_BASE: Mapping[str, Any] = {
    "pose_noise": 0.0,
    "batch": 24,
    "sample_clips": 0,
    "fit.max_steps": SYNCDIFF_STEPS,
    "fit.warmup_steps": 10,
    "fit.ema_decay": 0.95,
    "fit.validate_every": 20,
    "fit.save_every": 40,
    "fit.sample_every": None,
}
SYNCDIFF_QUICK: Mapping[str, Any] = {
    "batch": 4,
    "in_flight_clips": 2,
    "validation_batches": 1,
    "fit.max_steps": 2,
    "fit.warmup_steps": 0,
    "fit.validate_every": 2,
}
YAMAN = "Yaman et al. (ECCV 2024, arXiv 2307.09368)"
SYNCDIFF = "Fan et al., SyncDiff (WACV 2025, arXiv 2503.13371)"

_sync = partial(Variant.of, "avsyncnet")
_talker = partial(Variant.of, "stabilized")
_frames = partial(Variant.of, "syncdiff")

AVSYNCNET = _sync("AVSyncNet")
NARROW = _sync("Wav2Lip's SyncNet, of equal size", architecture="wav2lip_narrow")
SILENT_LIP = Variant(label="G_S", system="silent_lip")
TALKER = _talker("L_ss, L_at, silent lips")
PLAIN_SYNC = _talker("plain sync loss", sync_loss="wav2lip")
AS_THEY_ARE = _talker("references as they are", silent_lips=False)
PLAIN_TRIPLET = _talker("plain triplet", triplet="plain")
BOTTLENECK = _frames("bottleneck")
DIRECT = _frames("frame before as it is", pose="direct")
NO_POSE = _frames("no frame before", pose="none")
NOISY = _frames("bottleneck, noise on the frame before", pose_noise=1.0)

_SYNC_HERE = (
    f"Both networks trained on the same windows, 12 of each of 4 clips in {AVSYNCNET_STEPS} steps, "
    "by the same losses and optimizer, on five frames of lower half faces of 64 pixels. Wav2Lip's "
    "has the layers of claim b.architecture, and so few channels that both have as many parameters "
    "(0.64 and 0.66 million). Measured on 12 evenly spaced windows of each of 8 held-out clips. A "
    "network that says the same of everything has no spread, so both numbers are also taken as "
    "shares of the margin between true and wrong pairs; these decide as well."
)
_SYNC_NUMBERS = ("margin", "accuracy", "ranked", "loss", "cpu_seconds")

VARIANCE = Claim(
    key="g.variance",
    title="AVSyncNet's cosine varies less over true pairs than that of Wav2Lip's SyncNet",
    statement="Over pairs in sync, AVSyncNet's cosine has a lower variance than SyncNet's.",
    source=f"{YAMAN}, AVSyncNet",
    here=_SYNC_HERE,
    variants={"avsyncnet": AVSYNCNET, "wav2lip": NARROW},
    comparisons=(
        Comparison(metric="spread_in_sync", higher="wav2lip", lower="avsyncnet"),
        Comparison(metric="spread_share", higher="wav2lip", lower="avsyncnet"),
    ),
    also=_SYNC_NUMBERS,
)

SHIFTS = Claim(
    key="g.shifts",
    title="AVSyncNet minds a shifted crop less than Wav2Lip's SyncNet",
    statement="AVSyncNet's cosine changes less when the crop is shifted by a few pixels.",
    source=f"{YAMAN}, AVSyncNet",
    here=f"{_SYNC_HERE} Pictures are moved by 1 to 6 of 64 pixels up, down, left and right, the "
    "border repeated; neither network has seen moved pictures.",
    variants={"avsyncnet": AVSYNCNET, "wav2lip": NARROW},
    comparisons=(
        Comparison(metric="shift_change", higher="wav2lip", lower="avsyncnet"),
        Comparison(metric="shift_share", higher="wav2lip", lower="avsyncnet"),
    ),
    also=("shift_1_change", "shift_6_change", *_SYNC_NUMBERS),
)

_TALKER_HERE = (
    f"G_L of the profile `tiny` for {TALKER_STEPS} steps, from the weights of one G_S, with one "
    "AVSyncNet: seeds draw the discriminator, the windows and their references. Four held-out "
    "clips of 48 frames are dubbed with references from another moment. VGG-19 is a stand-in with "
    "random weights."
)
_TALKER_NUMBERS = ("lower_psnr_db", "foreign_r", "own_r", "amplitude", "sync", "toward_truth")

SYNC_LOSS = Claim(
    key="h.sync_loss",
    title="The stabilized sync loss gives better pictures and lips than the plain one",
    statement="L_ss in place of the lip-sync loss: PSNR 27.2 -> 31.2 dB, LSE-C 7.8 -> 8.4.",
    source=f"{YAMAN}, ablation, D and E",
    here=f"{_TALKER_HERE} Both losses have the weight 0.2. In place of LSE-C stands the "
    "correlation of the made mouth's opening with that of the film whose sound it got.",
    variants={"stabilized": TALKER, "plain": PLAIN_SYNC},
    comparisons=(
        Comparison(metric="lower_psnr_db", higher="stabilized", lower="plain"),
        Comparison(metric="foreign_r", higher="stabilized", lower="plain"),
    ),
    also=_TALKER_NUMBERS,
)

STABILITY = Claim(
    key="h.stability",
    title="With the stabilized sync loss the outcome depends less on the seed",
    statement="With the lip-sync loss several seeds are needed until one converges; with L_ss "
    "training is almost never unstable.",
    source=f"{YAMAN}, ablation, A and E",
    here=f"{_TALKER_HERE} Compared are the spreads over seeds (docs/claims.md, the rule). The "
    "audio tower is frozen in both and both begin with G_S, so the unstable case of the paper, "
    "which trains it along from nothing, is not repeated.",
    variants={"stabilized": TALKER, "plain": PLAIN_SYNC},
    comparisons=(
        Comparison(metric="lower_psnr_db", higher="plain", lower="stabilized", of="spread"),
        Comparison(metric="foreign_r", higher="plain", lower="stabilized", of="spread"),
    ),
    also=_TALKER_NUMBERS,
)

SILENT_LIPS = Claim(
    key="h.silent_lips",
    title="Closed mouths in the references keep the reference's mouth out of the picture",
    statement="When G_S closes the mouths of the references, the generator cannot copy them "
    "(PSNR 26.6 -> 27.2 dB, LSE-C 7.3 -> 7.8).",
    source=f"{YAMAN}, silent-lip generator; ablation, B and D; LipLeak of KeySync",
    here=f"{_TALKER_HERE} Deciding: with foreign sound, how far the made opening follows the "
    "reference's; with silence (2 clips), how far the mouth moves and in how many frames it is "
    "open (LipLeak). A seed copies if its mouths follow the reference more than the sound. "
    "LSE-C_S, LSE-D_S and LSD need SyncNet's weights and are not measured.",
    variants={"silent": TALKER, "as_they_are": AS_THEY_ARE},
    comparisons=(
        Comparison(metric="reference_r", higher="as_they_are", lower="silent"),
        Comparison(metric="silence_amplitude", higher="as_they_are", lower="silent"),
        Comparison(metric="silence_open_share", higher="as_they_are", lower="silent"),
    ),
    also=(
        "copies",
        "silence_r",
        "silence_closed_share",
        "own_open_share",
        "leak_itself_r",
        "leak_r",
        "chance_r",
        *_TALKER_NUMBERS,
    ),
)

TRIPLET = Claim(
    key="h.triplet",
    title="The adaptive triplet loss is better than the plain one",
    statement="Plain triplet: 30.7 dB, LSE-C 8.26; adaptive: 32.8 dB, 8.38.",
    source=f"{YAMAN}, ablation, F and G",
    here=f"{_TALKER_HERE} LSE-C replaced as above.",
    variants={"adaptive": TALKER, "plain": PLAIN_TRIPLET},
    comparisons=(
        Comparison(metric="lower_psnr_db", higher="adaptive", lower="plain"),
        Comparison(metric="foreign_r", higher="adaptive", lower="plain"),
    ),
    also=(*_TALKER_NUMBERS, "reference_r", "leak_r"),
)

_FRAMES_HERE = (
    f"The profile `tiny` for {SYNCDIFF_STEPS} steps of 24 frames, as published without noise on "
    "the frame before. Four held-out clips of 48 frames are dubbed one frame after the other, each "
    "with the made frame before it; the identity frame is from another moment. The variant with "
    "the noise that `tiny` has on the frame before in training decides nothing."
)
_FRAME_NUMBERS = (
    "first_quarter_db",
    "last_quarter_db",
    "lower_psnr_db",
    "from_first",
    "own_r",
    "leak_r",
    "chance_r",
    "amplitude",
    "roughness_ratio",
    "temporal_error",
)

SHORTCUT_BEFORE = Claim(
    key="i.bottleneck",
    title="The frame before as it is spoils the lips, through a bottleneck it does not",
    statement="Without the bottleneck the lip region greys out (31.6 dB, LSE-C 7.38); with it, it "
    "does not (32.2 dB, 7.81).",
    source=f"{SYNCDIFF}, ablation of the pose frame",
    here=f"{_FRAMES_HERE} The latents are lossless and have 192 channels, of which the bottleneck "
    "leaves 64; the published one leaves 1 of 3.",
    variants={"bottleneck": BOTTLENECK, "direct": DIRECT, "noisy": NOISY},
    comparisons=(
        Comparison(metric="drift_db", higher="direct", lower="bottleneck"),
        Comparison(metric="contrast", higher="bottleneck", lower="direct"),
        Comparison(metric="foreign_r", higher="bottleneck", lower="direct"),
    ),
    also=_FRAME_NUMBERS,
)

POSE = Claim(
    key="i.pose",
    title="The frame before improves lip-sync and temporal consistency",
    statement="A random reference alone: LSE-C 7.05; with the frame before through the bottleneck "
    "7.80, and smoother.",
    source=f"{SYNCDIFF}, ablation of the pose frame",
    here=f"{_FRAMES_HERE} In place of LSE-C the correlation of the made opening with that of the "
    "sound's film; consistency is the roughness in time, made over real.",
    variants={"bottleneck": BOTTLENECK, "none": NO_POSE, "noisy": NOISY},
    comparisons=(
        Comparison(metric="foreign_r", higher="bottleneck", lower="none"),
        Comparison(metric="temporal_error", higher="none", lower="bottleneck"),
    ),
    also=("drift_db", "contrast", *_FRAME_NUMBERS),
)

NEIGHBOUR_CLAIMS = (
    VARIANCE,
    SHIFTS,
    SYNC_LOSS,
    STABILITY,
    SILENT_LIPS,
    TRIPLET,
    SHORTCUT_BEFORE,
    POSE,
)
