"""What `select` has decided on a part of a clip, and what it decides by comparing parts.

A decision is all that stays in memory of a clip: half a kilobyte, where its measurements take 50.
"""

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.params.curation import SelectParams
from pipeline.selection.confidence import confidence_value
from pipeline.tables.rows import SyncScore

HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Score:
    """What of a sync score is compared and plotted."""

    judge: str
    value: float
    """The number on which the judge has its threshold."""
    confidence: float
    offset_frames: int


@dataclass(slots=True, kw_only=True)
class Decision:
    """A part of a clip with the reason of its rejection, or none."""

    clip_id: str
    video_id: str
    group: str
    """All clips of one group are in one split."""
    person: str = ""
    """Of a selected part; see people.py."""
    clip_start: int
    """First frame of the clip, of the film's grid."""
    num_frames: int
    """Of the clip."""
    start: int
    """First frame of the part, counted from the clip's first."""
    end: int
    reason: str
    """Empty while nothing has rejected it."""
    detail: str
    offset_frames: float
    drift_frames: float
    probability: float
    score: Score | None
    """None for a clip that was not scored, or not measured."""
    face_px: float
    picture: int
    """Hash of the clip's picture, 64 bits."""
    sound: int
    tier: str = ""
    """`base` or `hq` of what is selected; `silent` or `listening` of what is kept apart."""


def score_of(sync: SyncScore) -> Score:
    """Return what of a score is compared and plotted."""
    return Score(sync.judge, confidence_value(sync), sync.confidence, sync.offset_frames)


def compare(judged: Sequence[Decision], params: SelectParams) -> None:
    """Reject near-duplicates, then what is over the cap of its source, the least confident first.

    Of every set whose hashes of picture and sound both match, the most confident clip is kept. The
    parts of one clip are no duplicates of each other. Quiet clips come after all that are selected.
    """
    kept = KeptHashes(params.near_duplicate_bits)
    _compare_talking([one for one in judged if not one.reason], kept, params)
    quiet = [one for one in judged if one.reason and one.tier]
    _compare_quiet(quiet, kept, params)


def _compare_talking(
    selected: Sequence[Decision], kept: "KeptHashes", params: SelectParams
) -> None:
    taken: dict[str, int] = defaultdict(int)
    for one in sorted(selected, key=_best_first):
        if first := kept.duplicate_of_or_add(one):
            one.reason, one.detail, one.tier = "near_duplicate", f"of {first}", ""
            continue
        taken[one.video_id] += 1
        if taken[one.video_id] > params.max_clips_per_source:
            one.reason, one.detail, one.tier = "source_cap", f"{params.max_clips_per_source}", ""


def _compare_quiet(quiet: Sequence[Decision], kept: "KeptHashes", params: SelectParams) -> None:
    """Do the same for what is kept apart, which stays rejected for the reason that it has."""
    taken: dict[str, int] = defaultdict(int)
    for one in sorted(quiet, key=_best_first):
        if first := kept.duplicate_of_or_add(one):
            one.detail, one.tier = f"{one.detail}; near duplicate of {first}", ""
            continue
        taken[one.video_id] += 1
        if taken[one.video_id] > params.max_clips_per_source:
            one.detail, one.tier = f"{one.detail}; over the cap of its source", ""


class KeptHashes:
    """The hashes of the clips kept so far, and where to look for those like a given one.

    Two hashes that differ in at most `bits` bits are equal in one of `bits` + 1 segments. So only
    those are compared that share a segment of the picture, or of the sound, whichever are fewer:
    a thousandth of all where hashes are spread as usual.
    """

    def __init__(self, bits: int) -> None:
        """Args: `bits` in which hashes may differ, at most HASH_BITS."""
        edges = [HASH_BITS * n // (bits + 1) for n in range(bits + 2)]
        self.bits = bits
        self.segments = [(low, (1 << (high - low)) - 1) for low, high in pairwise(edges)]
        self.hashes = array("Q"), array("Q")
        self.ids: list[str] = []
        self.places: dict[tuple[int, int, int], array[int]] = defaultdict(lambda: array("I"))

    def duplicate_of_or_add(self, one: Decision) -> str:
        """Return the clip_id of a kept near-duplicate, else add this clip and return an empty one.

        Of several, the one that was kept first.
        """
        both = one.picture, one.sound
        shared = [self._shared(side, value) for side, value in enumerate(both)]
        like = self._like(min(shared, key=lambda places: sum(map(len, places))), both)
        if len(like):
            first = self.ids[int(like.min())]
            return "" if first == one.clip_id else first
        for side, value in enumerate(both):
            for places in self._shared(side, value):
                places.append(len(self.ids))
            self.hashes[side].append(value)
        self.ids.append(one.clip_id)
        return ""

    def _shared(self, side: int, value: int) -> list["array[int]"]:
        """Return the places of the kept hashes that share a segment, by segment."""
        return [
            self.places[side, number, value >> low & mask]
            for number, (low, mask) in enumerate(self.segments)
        ]

    def _like(self, places: Sequence["array[int]"], both: tuple[int, int]) -> NDArray[np.uint32]:
        near = np.concatenate([np.frombuffer(one, np.uint32) for one in places])
        for hashes, value in zip(self.hashes, both, strict=True):
            found = np.frombuffer(hashes, np.uint64)[near]
            near = near[np.bitwise_count(found ^ np.uint64(value)) <= self.bits]
        return near


def _best_first(one: Decision) -> tuple[str, float, float, str, int]:
    """Sort key: by judge, then the most confident first; ties by the lower clip_id and frame."""
    assert one.score is not None, "a clip without a score has a reason"
    return one.score.judge, -one.score.value, -one.score.confidence, one.clip_id, one.start
