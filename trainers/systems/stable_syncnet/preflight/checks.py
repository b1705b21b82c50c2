"""The known causes of a loss that stays at 0.69, each as one check; those of any system are shared.

The numbers behind the thresholds are in docs/preflight.md, with their sources.
"""

from collections.abc import Callable
from dataclasses import dataclass

from trainers.preflight.checks import (
    Check,
    check_clips,
    check_judge,
    check_length,
    check_offsets,
    check_speakers,
    check_validation,
    duration_words,
)
from trainers.preflight.overfit import OverfitResult
from trainers.preflight.split_statistics import Overlap, SplitStatistics
from trainers.systems.stable_syncnet.preflight.overfit import TARGET_LOSS
from trainers.systems.stable_syncnet.preflight.window_counts import WindowCounts

ENOUGH_HOURS = 20.0
"""16 h were too little (primepake/wav2lip_288x288#98), 20 h are the least that LatentSync's users
report as working (LatentSync#3)."""
ENOUGH_SOURCES = 10
"""8 to 9 videos stayed at 0.69 (LatentSync#309)."""
UNLUCKY_BATCH = 128
"""The published network can stay at 0.69 with it; 256 trains but oscillates, 1024 is best."""
HIGH_LEARNING_RATE = 5e-5
"""For the published networks, which were trained with 1e-5."""
SILENT_WARNING, SILENT_STOP = 0.1, 0.6
BALANCE_WARNING, BALANCE_STOP = 0.125, 0.35
"""Distance of the share in sync from one half; the first is 4 standard deviations of 256 draws."""
STUCK_LOSS = 0.6
"""Loss after overfitting one batch; near 0.69: chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFindings:
    """All that the checks look at."""

    network: str
    published: bool
    """Whether the network is one of the four published ones."""
    window_frames: int
    min_frames: int
    """Frames that a clip needs so that it holds a negative."""
    resolution_px: int
    item: str
    """`pair`, or `windows` compared with each other."""
    batch: int
    """Items per step."""
    windows: int
    """Pictures per step, and as many sounds."""
    learning_rate: float
    negatives: str
    train: SplitStatistics
    validation: SplitStatistics
    overlap: Overlap
    overlapping_negatives: float
    """Share of `compat` negatives that have a frame in common with the right window."""
    drawn: WindowCounts | None
    overfit: OverfitResult | None


def run_checks(findings: PreflightFindings) -> tuple[Check, ...]:
    """Return the results of all checks, in the order of the report."""
    return tuple(check(findings) for check in CHECKS)


def _amount(f: PreflightFindings) -> Check:
    few = f.train.hours < ENOUGH_HOURS or f.train.sources < ENOUGH_SOURCES
    finding = f"{duration_words(f.train.hours)} of {f.train.sources} sources"
    if not few:
        return Check("amount", "ok", finding)
    finding += f"; runs on less than {ENOUGH_HOURS:.0f} h or on 8 to 9 videos are known to fail"
    fix = "curate more footage of more people, or begin with published weights or a smaller network"
    return Check("amount", "warning", finding, fix)


def _balance(f: PreflightFindings) -> Check:
    if f.drawn is None:
        return Check("balance", "stop", "no pair could be drawn", "see the other checks")
    yes, no = f.drawn.in_sync, f.drawn.out_of_sync
    finding = f"{yes} pairs in sync and {no} out of sync in {f.drawn.windows} windows drawn"
    fix = "the labels are at fault: a bug, please report it"
    if not yes or not no:
        return Check("balance", "stop", finding, fix)
    if f.item == "windows":
        return Check("balance", "ok", f"{finding}; both kinds weigh half")
    away = abs(yes / (yes + no) - 0.5)
    if away <= BALANCE_WARNING:
        return Check("balance", "ok", finding)
    return Check("balance", "stop" if away > BALANCE_STOP else "warning", finding, fix)


def _negatives(f: PreflightFindings) -> Check:
    if f.negatives != "compat":
        return Check("negatives", "ok", "no negative shows a frame of its positive")
    finding = (
        f"{f.overlapping_negatives:.0%} of the negatives share frames with the right "
        "window, down to a shift of 40 ms"
    )
    return Check(
        "negatives", "warning", finding, "negatives: non_overlapping, unless to repeat figures"
    )


def _silence(f: PreflightFindings) -> Check:
    if f.drawn is None:
        return Check("silence", "stop", "no pair could be drawn", "see the other checks")
    finding = f"{f.drawn.silent} of {f.drawn.windows} windows are silent: they say nothing"
    share = f.drawn.silent / f.drawn.windows
    if share <= SILENT_WARNING:
        return Check("silence", "ok", finding)
    fix = "raise select.min_speech_share; check the sound of the sources"
    return Check("silence", "stop" if share > SILENT_STOP else "warning", finding, fix)


def _picture(f: PreflightFindings) -> Check:
    face, crop = f.train.face_px_median, f.train.crop_px_min
    if face is None or crop is None:
        finding = f"the network sees {f.resolution_px} px; the shards do not tell their own size"
        return Check("picture", "ok", finding)
    finding = f"crops of {crop} px for a network of {f.resolution_px} px; faces were {face:.0f} px"
    if crop < f.resolution_px:
        return Check("picture", "warning", finding, f"faces.crop_px: {f.resolution_px}, and rerun")
    if face < f.resolution_px / 2:
        fix = "raise select.min_face_px, or take a network of fewer pixels"
        return Check("picture", "warning", f"{finding}: half of them are blown up twofold", fix)
    return Check("picture", "ok", finding)


def _recipe(f: PreflightFindings) -> Check:
    finding = f"{f.network}, {f.windows} windows a step, learning rate {f.learning_rate:g}"
    if f.window_frames == 25:
        fix = "take a network of 16 frames"
        return Check(
            "recipe", "warning", f"{finding}; 25 frames are known to stay stuck early", fix
        )
    if f.published and f.windows <= UNLUCKY_BATCH:
        finding += f"; the published network can stay at 0.69 with {UNLUCKY_BATCH} or less"
        fix = "256 windows, better 1024; fit.micro_batch makes them fit into the memory"
        return Check("recipe", "warning", finding, fix)
    if f.published and f.learning_rate > HIGH_LEARNING_RATE:
        finding += "; the published networks were trained with 1e-5"
        return Check("recipe", "warning", finding, "fit.learning_rate: 1.0e-5")
    return Check("recipe", "ok", finding)


def _one_batch(f: PreflightFindings) -> Check:
    fix = "raise or lower fit.learning_rate tenfold; look at the pairs; check network and precision"
    if f.overfit is None:
        return Check("one batch", "stop", "there was no batch with both labels", "see balance")
    if f.overfit.error or not f.overfit.losses:
        return Check("one batch", "stop", f"broke off: {f.overfit.error}", fix)
    first, last, steps = f.overfit.losses[0], f.overfit.losses[-1], f.overfit.steps
    finding = f"loss of {f.overfit.windows} windows from {first:.2f} to {last:.2f} in {steps} steps"
    if last < TARGET_LOSS:
        return Check("one batch", "ok", finding)
    if last < STUCK_LOSS:
        return Check("one batch", "warning", f"{finding}: it learns, but slowly", fix)
    return Check("one batch", "stop", f"{finding}: it does not learn even these by heart", fix)


CHECKS: tuple[Callable[[PreflightFindings], Check], ...] = (
    check_clips,
    _amount,
    check_speakers,
    check_validation,
    check_offsets,
    check_judge,
    check_length,
    _balance,
    _negatives,
    _silence,
    _picture,
    _recipe,
    _one_batch,
)
