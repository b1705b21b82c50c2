"""Verdicts, and the checks of the splits that every system needs.

`stop` is kept for what no amount of training mends: wrong labels, wrong data or a broken set-up.
Too little data, an unlucky recipe and the like are warnings: a small run may be what is wanted.
The numbers behind the thresholds are in docs/preflight.md, with their sources.
"""

from dataclasses import Field, dataclass
from typing import Any, ClassVar, Literal, Protocol

from trainers.preflight.split_statistics import Overlap, SplitStatistics

Verdict = Literal["ok", "warning", "stop"]
SEVERITY: tuple[Verdict, ...] = ("ok", "warning", "stop")

FEW_VALIDATION_SOURCES = 5
"""With fewer, one speaker dominates the curve."""
OFF_WARNING, OFF_STOP = 0.02, 0.2
"""Share of clips that are still off by more than one frame."""
SHIFT_WARNING_FRAMES = 0.5
SHORT_WARNING = 0.1
UNSURE_PROBABILITY, UNSURE_LSE_C = 0.8, 3.0
"""Medians below the defaults of `select`: clips passed although the judge is unsure."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    name: str
    verdict: Verdict
    finding: str
    """What was found, in one sentence."""
    fix: str = ""
    """What to do; empty where all is well."""


class SplitFindings(Protocol):
    """What the checks here look at: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def train(self) -> SplitStatistics:
        """The clips to train on."""

    @property
    def validation(self) -> SplitStatistics:
        """The clips to measure on."""

    @property
    def overlap(self) -> Overlap:
        """What both share."""

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs."""


def worst_verdict(checks: tuple[Check, ...]) -> Verdict:
    """Return the severest verdict."""
    return max((check.verdict for check in checks), key=SEVERITY.index, default="ok")


def check_clips(f: SplitFindings) -> Check:
    """Stop without a clip on one side; warn of samples that cannot be used."""
    finding = f"{f.train.clips} clips to train on, {f.validation.clips} to validate on"
    if not f.train.clips or not f.validation.clips:
        fix = f"name shards with clips of {f.min_frames} frames or more; for validation, see "
        fix += "select.val_share"
        return Check("clips", "stop", finding, fix)
    if f.train.bad or f.validation.bad:
        finding += f"; {f.train.bad + f.validation.bad} samples cannot be used"
        return Check("clips", "warning", finding, "rerun `shards`; the log names the samples")
    return Check("clips", "ok", finding)


def check_speakers(f: SplitFindings) -> Check:
    """Stop if a speaker, source or clip is on both sides; warn of persons, and of unknown ones."""
    shared = f.overlap
    if shared.any:
        named = (*shared.speakers, *shared.sources, *shared.clips)[:3]
        finding = f"training and validation share speakers, sources or clips: {', '.join(named)}"
        fix = "split by speaker: name the speakers in the sources list and rerun `select`"
        return Check("speakers", "stop", finding, fix)
    if shared.persons:
        finding = (
            f"{len(shared.persons)} persons, by their faces, are in training and in validation: "
            "the curve says nothing of new people"
        )
        fix = "add sources with other people; select.split_by: person (docs/people.md)"
        return Check("speakers", "warning", finding, fix)
    if f.train.unnamed or f.validation.unnamed:
        finding = (
            f"no source is on both sides, but of {f.train.unnamed + f.validation.unnamed} clips "
            "neither speaker nor person is known: one in two videos would not be noticed"
        )
        fix = "name the speakers in the sources list (docs/ingest.md)"
        return Check("speakers", "warning", finding, fix)
    return Check("speakers", "ok", "no speaker, source or person is in training and in validation")


def check_validation(f: SplitFindings) -> Check:
    """Warn if few people are measured on."""
    finding = f"{f.validation.sources} sources, {duration_words(f.validation.hours)}"
    if f.validation.sources >= FEW_VALIDATION_SOURCES:
        return Check("validation", "ok", finding)
    finding += ": the curve will tell of a few people only, and jump"
    return Check("validation", "warning", finding, "raise select.val_share, or curate more sources")


def check_offsets(f: SplitFindings) -> Check:
    """Look at what is left of the offsets after the correction."""
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


def check_judge(f: SplitFindings) -> Check:
    """Warn if the judge was unsure of half of the clips, or was not one."""
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


def check_length(f: SplitFindings) -> Check:
    """Warn if many clips are too short for an item."""
    total = f.train.clips + f.train.too_short
    finding = f"{f.train.too_short} of {total} clips are too short: under {f.min_frames} frames"
    if f.train.too_short > SHORT_WARNING * total:
        return Check("length", "warning", finding, "raise faces.min_seconds")
    return Check("length", "ok", finding)


def duration_words(hours: float) -> str:
    """Return minutes under two hours, else hours."""
    return f"{hours:.1f} h" if hours >= 2 else f"{hours * 60:.1f} min"
