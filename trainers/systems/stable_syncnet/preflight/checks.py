"""The known causes of a loss that stays at 0.69, each as one check.

`stop` is kept for what no amount of training mends: wrong labels, wrong data or a broken set-up.
Too little data, an unlucky recipe and the like are warnings: a small run may be what is wanted.
The numbers behind the thresholds are in docs/preflight.md, with their sources.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from trainers.systems.stable_syncnet.preflight.overfit import TARGET_LOSS, OverfitResult
from trainers.systems.stable_syncnet.preflight.split_statistics import Overlap, SplitStatistics
from trainers.systems.stable_syncnet.preflight.window_counts import WindowCounts

Verdict = Literal["ok", "warning", "stop"]
SEVERITY: tuple[Verdict, ...] = ("ok", "warning", "stop")

ENOUGH_HOURS = 20.0
"""16 h were too little (primepake/wav2lip_288x288#98), 20 h are the least that LatentSync's users
report as working (LatentSync#3)."""
ENOUGH_SOURCES = 10
"""8 to 9 videos stayed at 0.69 (LatentSync#309)."""
FEW_VALIDATION_SOURCES = 5
"""With fewer, one speaker dominates the curve."""
UNLUCKY_BATCH = 128
"""The published network can stay at 0.69 with it; 256 trains but oscillates, 1024 is best."""
HIGH_LEARNING_RATE = 5e-5
"""For the published networks, which were trained with 1e-5."""
OFF_WARNING, OFF_STOP = 0.02, 0.2
"""Share of clips that are still off by more than one frame."""
SHIFT_WARNING_FRAMES = 0.5
SHORT_WARNING = 0.1
SILENT_WARNING, SILENT_STOP = 0.1, 0.6
BALANCE_WARNING, BALANCE_STOP = 0.125, 0.35
"""Distance of the share in sync from one half; the first is 4 standard deviations of 256 draws."""
UNSURE_PROBABILITY, UNSURE_LSE_C = 0.8, 3.0
"""Medians below the defaults of `select`: clips passed although the judge is unsure."""
STUCK_LOSS = 0.6
"""Loss after overfitting one batch; near 0.69: chance."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    name: str
    verdict: Verdict
    finding: str
    """What was found, in one sentence."""
    fix: str = ""
    """What to do; empty where all is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFindings:
    """All that the checks look at."""

    network: str
    published: bool
    """Whether the network is one of the four published ones."""
    window_frames: int
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
    drawn: WindowCounts | None
    overfit: OverfitResult | None


def run_checks(findings: PreflightFindings) -> tuple[Check, ...]:
    """Return the results of all checks, in the order of the report."""
    return tuple(check(findings) for check in CHECKS)


def worst_verdict(checks: tuple[Check, ...]) -> Verdict:
    """Return the severest verdict."""
    return max((check.verdict for check in checks), key=SEVERITY.index, default="ok")


def _clips(f: PreflightFindings) -> Check:
    finding = f"{f.train.clips} clips to train on, {f.validation.clips} to validate on"
    if not f.train.clips or not f.validation.clips:
        fix = "name shards with clips of 32 frames or more; see select.val_share for validation"
        return Check("clips", "stop", finding, fix)
    if f.train.bad or f.validation.bad:
        finding += f"; {f.train.bad + f.validation.bad} samples cannot be used"
        return Check("clips", "warning", finding, "rerun `shards`; the log names the samples")
    return Check("clips", "ok", finding)


def _amount(f: PreflightFindings) -> Check:
    few = f.train.hours < ENOUGH_HOURS or f.train.sources < ENOUGH_SOURCES
    finding = f"{duration_words(f.train.hours)} of {f.train.sources} sources"
    if not few:
        return Check("amount", "ok", finding)
    finding += f"; runs on less than {ENOUGH_HOURS:.0f} h or on 8 to 9 videos are known to fail"
    fix = "curate more footage of more people, or begin with published weights or a smaller network"
    return Check("amount", "warning", finding, fix)


def _speakers(f: PreflightFindings) -> Check:
    shared = f.overlap
    if shared.any:
        named = (*shared.speakers, *shared.sources, *shared.clips)[:3]
        finding = f"training and validation share speakers, sources or clips: {', '.join(named)}"
        fix = "split by speaker: name the speakers in the sources list and rerun `select`"
        return Check("speakers", "stop", finding, fix)
    if f.train.unnamed or f.validation.unnamed:
        finding = (
            f"no source is on both sides, but {f.train.unnamed + f.validation.unnamed} clips do "
            "not name their speaker: one person in two videos would not be noticed"
        )
        fix = "name the speakers in the sources list (docs/ingest.md)"
        return Check("speakers", "warning", finding, fix)
    return Check("speakers", "ok", f"{f.train.speakers} speakers, none of them in validation")


def _validation(f: PreflightFindings) -> Check:
    finding = f"{f.validation.sources} sources, {duration_words(f.validation.hours)}"
    if f.validation.sources >= FEW_VALIDATION_SOURCES:
        return Check("validation", "ok", finding)
    finding += ": the curve will tell of a few people only, and jump"
    return Check("validation", "warning", finding, "raise select.val_share, or curate more sources")


def _offsets(f: PreflightFindings) -> Check:
    train = f.train
    if train.wrongly_applied and train.unscored < train.clips:
        finding = f"from {train.wrongly_applied} clips another offset was taken out than was found"
        return Check("offsets", "stop", finding, "rerun `shards`")
    if train.unscored:
        finding = f"of {train.unscored} clips nobody knows what offset is left"
        fix = "curate with lipforge: uncorrected offsets are the first cause of 0.69"
        return Check("offsets", "warning", finding, fix)
    off = train.beyond_one_frame
    finding = f"{off} of {train.clips} clips are off by more than one frame after the correction"
    share = off / max(train.clips, 1)
    if share > OFF_WARNING:
        fix = "look at these clips in the report; rerun `sync` and `shards`"
        return Check("offsets", "stop" if share > OFF_STOP else "warning", finding, fix)
    if abs(train.residual_median_frames or 0) > SHIFT_WARNING_FRAMES:
        finding += (
            f"; half of them by over {train.residual_median_frames:+} frames: all lean one way"
        )
        return Check("offsets", "warning", finding, "check the clock of the sources' container")
    if train.doubtful:
        finding += f"; the landmark judge disagrees on {train.doubtful} of another judge's clips"
        return Check("offsets", "warning", finding, "dub-check some of them with `lipforge judge`")
    return Check("offsets", "ok", finding)


def _judge(f: PreflightFindings) -> Check:
    train = f.train
    names = ", ".join(f"{name} {count}" for name, count in train.judges.items())
    sure, lse_c = train.probability_median, train.confidence_median
    finding = f"judged by {names or 'nobody'}"
    if len(train.judges) > 1 or "unknown" in train.judges:
        fix = "judge all clips by one judge: numbers of two judges are not comparable"
        return Check("judge", "warning", finding, fix)
    fix = "the judge may not know this language or kind of picture: watch some clips"
    if sure is not None:
        finding += f", median probability {sure}"
        return Check(
            "judge", *(("warning", finding, fix) if sure < UNSURE_PROBABILITY else ("ok", finding))
        )
    if "syncnet" in train.judges and lse_c is not None:
        finding += f", median LSE-C {lse_c}"
        return Check(
            "judge", *(("warning", finding, fix) if lse_c < UNSURE_LSE_C else ("ok", finding))
        )
    return Check("judge", "ok", finding)


def _length(f: PreflightFindings) -> Check:
    total = f.train.clips + f.train.too_short
    finding = f"{f.train.too_short} of {total} clips are too short for a negative"
    if f.train.too_short > SHORT_WARNING * total:
        return Check("length", "warning", finding, "raise faces.min_seconds")
    return Check("length", "ok", finding)


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
        f"{f.train.overlapping_negatives:.0%} of the negatives share frames with the right "
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


def duration_words(hours: float) -> str:
    """Return minutes under two hours, else hours."""
    return f"{hours:.1f} h" if hours >= 2 else f"{hours * 60:.1f} min"


CHECKS: tuple[Callable[[PreflightFindings], Check], ...] = (
    _clips,
    _amount,
    _speakers,
    _validation,
    _offsets,
    _judge,
    _length,
    _balance,
    _negatives,
    _silence,
    _picture,
    _recipe,
    _one_batch,
)
