"""Writes the measured part of the landmark judge's model card, between two markers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.judge.curve import JudgeResult
from trainers.sync_folds import (
    SEGMENT_SECONDS,
    Judged,
    auc_foreign,
    auc_shifted,
    long_enough,
    shift_followed_share,
    within,
)

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
THRESHOLDS = (0.06, 0.08, 0.10, 0.12, 0.14, 0.16, 0.18, 0.20, 0.24, 0.28)
SUSPECT_FRAMES = 2


def measured_part(judged: Sequence[Judged], held_out: Mapping[str, JudgeResult]) -> str:
    """Return the tables as Markdown."""
    blocks = [
        fold_table(judged),
        "Clips never trained on by anything:\n\n" + held_out_table(held_out),
        confidence_table(judged),
        *[threshold_table(judged, seconds) for seconds in SEGMENT_SECONDS],
        suspect_table(judged),
    ]
    return "\n\n".join(blocks)


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
    path.write_text(f"{head}{BEGIN}\n{measured}\n{END}{tail}", encoding="utf-8")


def fold_table(judged: Sequence[Judged]) -> str:
    """One row per fold, then all clips together."""
    lines = [
        "| fold left out | clips >= 4 s | within 1 | within 2 | AUC foreign | AUC shifted "
        "| shift followed |",
        "|---|---|---|---|---|---|---|",
    ]
    for fold in sorted({one.clip.fold for one in judged}):
        lines.append(_fold_row(fold, [one for one in judged if one.clip.fold == fold]))
    return "\n".join([*lines, _fold_row("**all**", judged)])


def _fold_row(name: str, judged: Sequence[Judged]) -> str:
    return (
        f"| {name} | {len(long_enough(judged))} "
        f"| {within(judged, 1):.0%} | {within(judged, 2):.0%} "
        f"| {auc_foreign(judged):.3f} | {auc_shifted(judged):.3f} "
        f"| {shift_followed_share(judged):.0%} |"
    )


def held_out_table(results: Mapping[str, JudgeResult]) -> str:
    """Offsets of the clips with a published answer."""
    lines = ["| clip | offset | sub-frame | confidence | distance |", "|---|---|---|---|---|"]
    for name, result in sorted(results.items()):
        lines.append(
            f"| {name} | {result.offset_frames:+d} | {result.offset_subframe:+.2f} "
            f"| {result.confidence:.3f} | {result.min_distance:.3f} |"
        )
    return "\n".join(lines)


def confidence_table(judged: Sequence[Judged]) -> str:
    """Quantiles of the confidence with own and with foreign sound."""
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    own = np.quantile([one.own.confidence for one in judged], shares)
    foreign = np.quantile([r.confidence for one in judged for r in one.foreign], shares)
    lines = [
        "| confidence | " + " | ".join(f"{share:.0%}" for share in shares) + " |",
        "|---" * (len(shares) + 1) + "|",
        "| own sound | " + " | ".join(f"{value:.3f}" for value in own) + " |",
        "| another clip's | " + " | ".join(f"{value:.3f}" for value in foreign) + " |",
    ]
    return "\n".join(lines)


def threshold_table(judged: Sequence[Judged], seconds: int) -> str:
    """What a confidence threshold keeps, on pieces of one length.

    Right = own sound, and the piece's offset within one frame of its whole clip's. Precision
    takes one dubbed piece for every genuine one: far more than real footage has.
    """
    pieces = [(one, own, foreign) for one in judged for own, foreign in one.segments[seconds]]
    lines = [
        f"Pieces of {seconds} s ({len(pieces)} genuine, {len(pieces)} dubbed):",
        "",
        "| confidence >= | precision | recall | offset right when kept | dubbed kept |",
        "|---|---|---|---|---|",
    ]
    for threshold in THRESHOLDS:
        kept = [(one, own) for one, own, _ in pieces if own.confidence >= threshold]
        right = sum(abs(own.offset_frames - one.own.offset_frames) <= 1 for one, own in kept)
        wrong = sum(foreign.confidence >= threshold for _, _, foreign in pieces)
        lines.append(
            f"| {threshold:.2f} | {right / max(1, len(kept) + wrong):.3f} "
            f"| {right / max(1, len(pieces)):.3f} | {right / max(1, len(kept)):.3f} "
            f"| {wrong / max(1, len(pieces)):.3f} |"
        )
    return "\n".join(lines)


def suspect_table(judged: Sequence[Judged]) -> str:
    """Clips that the judge puts two frames or more off: errors, or truly out of sync."""
    lines = ["| clip judged out of sync | seconds | offset | confidence |", "|---|---|---|---|"]
    for one in sorted(judged, key=lambda one: one.clip.clip_id):
        if abs(one.own.offset_frames) >= SUSPECT_FRAMES:
            lines.append(
                f"| {one.clip.clip_id} | {one.clip.num_frames / 25:.1f} "
                f"| {one.own.offset_subframe:+.1f} | {one.own.confidence:.3f} |"
            )
    return "\n".join(lines)
