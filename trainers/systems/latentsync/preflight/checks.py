"""What would stop the training of the diffusion model, or make its result useless, as checks."""

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
)
from trainers.preflight.overfit import OverfitResult
from trainers.preflight.split_statistics import Overlap, SplitStatistics

LEARNT, STUCK = 0.5, 0.95
"""Loss after overfitting one batch, as a share of that before the first step."""
GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class LdmFindings:
    """All that the checks look at."""

    stage: str
    resolution_px: int
    window_frames: int
    min_frames: int
    """Frames that a clip needs so that every window has a reference."""
    batch: int
    in_flight_clips: int
    """Clips that are decoded at a time; a multiple of the batch."""
    windows_per_clip: int
    decoded_bytes: int
    """Memory of these clips, all processes together."""
    train_windows: int
    """Different windows of the clips."""
    validation_windows: int
    measured_windows: int
    """Windows drawn for every validation."""
    train: SplitStatistics
    validation: SplitStatistics
    overlap: Overlap
    enlarged: str
    """Which crops are smaller than the stage's pictures; empty: none."""
    parts: dict[str, str]
    """Role -> name of every frozen network in use."""
    stand_ins: list[str]
    absent: list[str]
    """What is wrong with weights files."""
    run_bytes: int | None
    """Of checkpoints and model on disk; None where a missing file hides the sizes."""
    missing_bytes: int
    """What the disk lacks of it."""
    overfit_steps: int
    """Steps asked for; 0: one batch is not tried."""
    overfit: OverfitResult | None


def run_checks(findings: LdmFindings) -> tuple[Check, ...]:
    """Return the results of all checks, in the order of the report."""
    return tuple(check(findings) for check in CHECKS)


def _windows(f: LdmFindings) -> Check:
    finding = (
        f"{f.train_windows} windows of {f.window_frames} frames to train on, "
        f"{f.validation_windows} to validate on; {f.measured_windows} of these are measured"
    )
    if f.measured_windows > f.validation_windows:
        fix = "lower validation_batches, or raise select.val_share"
        return Check("windows", "warning", f"{finding}, some of them twice", fix)
    return Check("windows", "ok", finding)


def _in_flight(f: LdmFindings) -> Check:
    finding = (
        f"batches of {f.batch} windows from {f.in_flight_clips} decoded clips, "
        f"{f.decoded_bytes / GB:.2f} GB at their median length"
    )
    if f.batch > f.train.clips:
        finding += f"; there are {f.train.clips} clips, so that a batch repeats some"
        return Check("in flight", "warning", finding, "lower batch, or curate more footage")
    if f.in_flight_clips == f.batch and f.windows_per_clip > 1:
        finding += f": {f.windows_per_clip} batches in a row are of the same clips"
        fix = f"in_flight_clips: {4 * f.batch} or more, or windows_per_clip: 1"
        return Check("in flight", "warning", finding, fix)
    return Check("in flight", "ok", finding)


def _picture(f: LdmFindings) -> Check:
    if f.enlarged:
        what, _, fix = f.enlarged.partition("; ")
        return Check("picture", "stop", what, fix)
    face = f.train.face_px_median
    if face is None:
        return Check("picture", "ok", f"the network sees {f.resolution_px} px")
    finding = f"pictures of {f.resolution_px} px; faces were {face:.0f} px in their films"
    if face < f.resolution_px / 2:
        fix = "raise select.min_face_px, or take a stage of fewer pixels"
        return Check("picture", "warning", f"{finding}: half of them are blown up twofold", fix)
    return Check("picture", "ok", finding)


def _files(f: LdmFindings) -> Check:
    if f.absent:
        fix = "`lipforge weights` fetches what it may; docs/frozen_parts.md names the places"
        return Check("files", "stop", "; ".join(f.absent), fix)
    return Check("files", "ok", ", ".join(f"{role}: {name}" for role, name in f.parts.items()))


def _stand_ins(f: LdmFindings) -> Check:
    if not f.stand_ins:
        return Check("stand-ins", "ok", "none")
    finding = f"{', '.join(f.stand_ins)}: the model will be of no use for real pictures"
    return Check(
        "stand-ins", "warning", finding, "name networks with weights (docs/frozen_parts.md)"
    )


def _disk(f: LdmFindings) -> Check:
    if f.run_bytes is None:
        return Check("disk", "stop", "the sizes are not known without the files", "see files")
    finding = f"checkpoints and model take {f.run_bytes / GB:.2f} GB"
    if f.missing_bytes:
        finding += f", {f.missing_bytes / GB:.2f} GB more than the disk has"
        return Check(
            "disk", "stop", finding, "free space, or set LIPFORGE_TRAINING to another disk"
        )
    return Check("disk", "ok", finding)


def _one_batch(f: LdmFindings) -> Check:
    if not f.overfit_steps:
        return Check("one batch", "ok", "not tried; train_ldm.preflight_steps: 50 tries it")
    fix = "raise or lower fit.learning_rate tenfold; check the stage's start and the precision"
    if f.overfit is None:
        return Check("one batch", "stop", "there was no batch", "see the other checks")
    if f.overfit.error or not f.overfit.losses:
        return Check("one batch", "stop", f"broke off: {f.overfit.error}", fix)
    first, last, steps = f.overfit.losses[0], f.overfit.losses[-1], f.overfit.steps
    finding = f"loss of {f.overfit.windows} windows from {first:.3f} to {last:.3f} in {steps} steps"
    if last <= LEARNT * first:
        return Check("one batch", "ok", finding)
    if last < STUCK * first:
        return Check("one batch", "warning", f"{finding}: it learns, but slowly", fix)
    return Check("one batch", "stop", f"{finding}: it does not learn even these by heart", fix)


CHECKS: tuple[Callable[[LdmFindings], Check], ...] = (
    check_clips,
    _windows,
    check_length,
    check_speakers,
    check_validation,
    check_offsets,
    check_judge,
    _in_flight,
    _picture,
    _files,
    _stand_ins,
    _disk,
    _one_batch,
)
