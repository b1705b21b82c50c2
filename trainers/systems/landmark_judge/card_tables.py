"""Writes the measured part of the landmark judge's model card, between two markers."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import write_text
from pipeline.judge.curve import JudgeResult
from pipeline.judge.landmark.calibration import Calibration, CurvePoint
from pipeline.params.curation import SelectParams
from trainers.systems.landmark_judge.calibration_fit import CalibrationExample, example_weights
from trainers.systems.landmark_judge.cross_validation import LONG_ENOUGH_FRAMES, JudgedClip
from trainers.systems.landmark_judge.fold_metrics import FoldMetrics
from trainers.systems.landmark_judge.lip_audio_correlation import CorrelationPeak
from trainers.systems.landmark_judge.reference_offsets import ReferenceOffset
from trainers.systems.landmark_judge.speech_clips import SpeechClip

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
PROBABILITY_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)


def write_card(path: Path, measured: str) -> None:
    """Replace what lies between the markers.

    Raises:
        ValueError: the card has no markers.
    """
    text = path.read_text(encoding="utf-8")
    head, found_begin, rest = text.partition(BEGIN)
    _, found_end, tail = rest.partition(END)
    if not (found_begin and found_end):
        raise ValueError(f"{path}: no lines `{BEGIN}` and `{END}` to write between")
    write_text(path, f"{head}{BEGIN}\n{measured}\n{END}{tail}")


def fold_table(rows: Mapping[str, FoldMetrics]) -> str:
    """One row per fold, then all clips together."""
    return table(
        (
            *("fold left out", "clips >= 4 s", "in sync", "within 1", "within 2", "witnessed"),
            *("within 1 of the witness", "AUC foreign", "with out-of-sync clips", "AUC shifted"),
            "shift followed",
        ),
        [
            (
                *(fold, str(f.clips), str(f.in_sync), _percent(f.within_1), _percent(f.within_2)),
                *(str(f.with_correlation), _percent(f.near_correlation), _three(f.auc_foreign)),
                *(_three(f.auc_foreign_all), _three(f.auc_shifted), _percent(f.shift_followed)),
            )
            for fold, f in rows.items()
        ],
    )


def raw_table(rows: Mapping[str, FoldMetrics], independent: Mapping[str, FoldMetrics]) -> str:
    """The same with other ideas of what is in sync."""
    return table(
        (
            *("fold left out", "in sync by independent references", "within 1", "within 2"),
            *("every clip", "within 1", "within 2"),
        ),
        [
            (
                *(fold, str(i.in_sync), _percent(i.within_1), _percent(i.within_2)),
                *(str(f.clips), _percent(f.raw_within_1), _percent(f.raw_within_2)),
            )
            for (fold, f), i in zip(rows.items(), independent.values(), strict=True)
        ],
    )


def length_table(found: Sequence[CalibrationExample], probabilities: NDArray[np.float64]) -> str:
    """Promised against found by length, of all examples and of those that pass the threshold."""
    weight, least = example_weights(found), SelectParams().landmark_min_probability
    seconds = np.array([one.seconds for one in found])
    right = np.array([one.right for one in found])
    lines = []
    for length in sorted(set(seconds.tolist())):
        cells = [f"{length} s" if length else "whole clips"]
        for inside in (seconds == length, (seconds == length) & (probabilities >= least)):
            means = (np.average(v[inside], weights=weight[inside]) for v in (probabilities, right))
            cells += [str(int(inside.sum())), *(f"{mean:.3f}" for mean in means)]
        lines.append(cells)
    head = ("promised", "right")
    return table(("length", "examples", *head, f"probability >= {least:g}", *head), lines)


def answers_table(results: Iterable[tuple[str, SpeechClip, JudgeResult]]) -> str:
    """What the shipped judge says of clips it never saw."""
    return table(
        ("clip", "seconds", "offset", "sub-frame", "confidence", "probability", "drift"),
        [
            (
                *(label, f"{clip.num_frames / 25:.1f}", f"{r.offset_frames:+d}"),
                *(f"{r.offset_subframe:+.2f}", f"{r.confidence:.3f}", _three(r.probability)),
                "-" if r.drift_frames is None else f"{r.drift_frames:+.1f}",
            )
            for label, clip, r in results
        ],
    )


def reliability_table(
    found: Sequence[CalibrationExample], probabilities: NDArray[np.float64]
) -> str:
    """Promised against found, in a collection with the assumed share of foreign sound."""
    right = np.array([one.right for one in found])
    weight = example_weights(found)
    lines = []
    for low, high in pairwise(PROBABILITY_BINS):
        inside = (probabilities >= low) & (probabilities < high + (high == 1.0))
        if inside.any():
            promised, kept = (
                float(np.average(values[inside], weights=weight[inside]))
                for values in (probabilities, right)
            )
            count = str(int(inside.sum()))
            lines.append((f"{low:.2f} to {high:.2f}", count, f"{promised:.3f}", f"{kept:.3f}"))
    return table(("probability", "examples", "mean promised", "right"), lines)


def threshold_table(points: Sequence[CurvePoint], seconds: int) -> str:
    """What a threshold on the probability keeps, on pieces of one length."""
    return table(
        (f"probability >= ({seconds} s)", "precision", "recall", "kept"),
        [
            (f"{p.threshold:.2f}", _three(p.precision), _three(p.recall), _three(p.kept_share))
            for p in points
            if p.seconds == seconds
        ],
    )


def suspect_table(
    judged: Sequence[JudgedClip],
    truth: Mapping[str, ReferenceOffset],
    correlation: Mapping[str, CorrelationPeak],
) -> str:
    """Files that are out of sync, and who says so."""
    lines = []
    for name, reference in sorted(truth.items()):
        answers = [one.own.offset_subframe for one in judged if one.clip.name == name]
        if not reference.in_sync:
            peak = correlation[name]
            seen = f"{peak.offset_frames:+.1f} ({peak.prominence:.2f})"
            lines.append((name, str(len(answers)), _range(answers), seen, reference.source))
    return table(("file", "clips", "judge of its fold", "correlation", "decided by"), lines)


def error_table(judged: Sequence[JudgedClip], truth: Mapping[str, ReferenceOffset]) -> str:
    """Every clip whose offset is more than a frame from its reference: the judge's errors."""
    lines = [
        (
            *(one.clip.name, f"{one.clip.num_frames / 25:.1f}", f"{one.own.offset_subframe:+.1f}"),
            *(f"{truth[one.clip.name].offset_frames:+.1f}", truth[one.clip.name].source),
            f"{one.own.confidence:.3f}",
        )
        for one in sorted(judged, key=lambda one: (one.clip.name, one.clip.clip_id))
        if not truth[one.clip.name].right(one.own.offset_frames)
    ]
    return table(("clip", "seconds", "judge", "reference", "source", "confidence"), lines)


def backend_table(
    answers: Sequence[tuple[SpeechClip, JudgeResult]],
    judged: Sequence[JudgedClip],
    truth: Mapping[str, ReferenceOffset],
    calibration: Calibration,
) -> str:
    """The same files through two landmark backends, by the same networks of each fold."""
    mesh = [(one.clip, one.own) for one in judged]
    rows = [("Face Mesh, 468", mesh), ("InsightFace, 106", answers)]
    least = SelectParams().landmark_min_probability
    return table(
        (
            *("landmarks", "clips >= 4 s", "within 1 of the reference", "within 2"),
            *("confidence", f"probability >= {least:g}", "of these within 1"),
        ),
        [(name, *_backend_cells(found, truth, calibration, least)) for name, found in rows],
    )


def _backend_cells(
    found: Sequence[tuple[SpeechClip, JudgeResult]],
    truth: Mapping[str, ReferenceOffset],
    calibration: Calibration,
    least: float,
) -> tuple[str, ...]:
    known = [(c, r) for c, r in found if c.name in truth and c.num_frames >= LONG_ENOUGH_FRAMES]
    if not known:
        return ("0", "-", "-", "-", "-", "-")
    near = [[truth[c.name].right(r.offset_frames, t) for c, r in known] for t in (1, 2)]
    probable = [calibration.probability(result) >= least for _, result in known]
    right = [ok for ok, sure in zip(near[0], probable, strict=True) if sure]
    confidence = float(np.median([result.confidence for _, result in known]))
    shares = [_percent(float(np.mean(one))) for one in near]
    kept = _percent(float(np.mean(right))) if right else "-"
    return (str(len(known)), *shares, f"{confidence:.3f}", str(len(right)), kept)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:+.1f}" if high - low < 0.1 else f"{low:+.1f} to {high:+.1f}"
