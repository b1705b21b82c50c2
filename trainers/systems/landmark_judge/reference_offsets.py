"""Reference AV offsets for clips without labels.

In this order, file by file:
1. `correlation`: lip opening against loudness (lip_audio_correlation.py), where it is clear.
2. `both`: the correlation has a weak peak, within one frame of the offset that networks measure
   which were trained without the source.
3. `judge`: those networks put every clip of the file beyond 1.5 frames, and all its pieces of 3 s
   within one frame of each other. Only the judge supports this offset.
4. `assumed`: everything else counts as in sync, whatever the judge measures.

In `both` and `judge` the reference depends on the judge that is evaluated with it. In `independent`
references those files count as `assumed`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainers.systems.landmark_judge.cross_validation import JudgedClip
from trainers.systems.landmark_judge.lip_audio_correlation import CorrelationPeak

IN_SYNC_FRAMES = 1.5
"""Less rounds to one frame at most: 60 ms."""
STEADY_FRAMES = 1.0
STEADY_SECONDS = 3


@dataclass(frozen=True, slots=True)
class ReferenceOffset:
    """The offset that answers are compared with."""

    offset_frames: float
    source: Literal["correlation", "both", "judge", "assumed"]

    @property
    def in_sync(self) -> bool:
        """Whether the file counts as in sync."""
        return abs(self.offset_frames) < IN_SYNC_FRAMES

    def right(self, offset_frames: int, tolerance: int = 1) -> bool:
        """Say whether an answer agrees with the reference, both in whole frames."""
        return abs(offset_frames - round(self.offset_frames)) <= tolerance


def reference_offsets(
    judged: Sequence[JudgedClip],
    correlation: Mapping[str, CorrelationPeak],
    independent: bool = False,
) -> dict[str, ReferenceOffset]:
    """Decide for every file, by name; `independent`: without a vote of the judge under test."""
    files: dict[str, list[JudgedClip]] = {}
    for one in judged:
        files.setdefault(one.clip.name, []).append(one)
    return {
        name: _decide([] if independent else parts, correlation[name])
        for name, parts in sorted(files.items())
    }


def _decide(parts: Sequence[JudgedClip], peak: CorrelationPeak) -> ReferenceOffset:
    if peak.clear:
        return ReferenceOffset(peak.offset_frames, "correlation")
    if not parts:
        return ReferenceOffset(0.0, "assumed")
    found = float(np.median([one.own.offset_subframe for one in parts]))
    if peak.agrees_with(found):
        return ReferenceOffset(peak.offset_frames, "both")
    if abs(found) >= IN_SYNC_FRAMES and _steady(parts, found):
        return ReferenceOffset(found, "judge")
    return ReferenceOffset(0.0, "assumed")


def _steady(parts: Sequence[JudgedClip], found: float) -> bool:
    pieces = [own for one in parts for own, _ in one.pieces.get(STEADY_SECONDS, [])]
    answers = [own.offset_subframe for own in [*pieces, *(one.own for one in parts)]]
    return len(pieces) > 1 and all(abs(answer - found) <= STEADY_FRAMES for answer in answers)
