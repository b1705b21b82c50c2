"""Which clips are labelled: for every limit of `select` those nearest to it, on both sides."""

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.audit.audited_limits import AuditedLimit, Moment
from pipeline.tables.run_tables import MeasuredClip


@dataclass(frozen=True, slots=True)
class Drawn:
    """A moment of a clip, drawn for one limit."""

    rule: str
    clip_id: str
    artifact: str
    value: float
    start: int
    """Frames [start, end) of the clip."""
    end: int
    lead_frames: float
    """By how much the sound is early there, so that it is played in sync."""
    alone: bool = True
    """Nothing else is wrong with it, as far as `select` knows."""

    @property
    def moment(self) -> tuple[str, int, int]:
        """Return what is seen: drawn for several limits, it is labelled once."""
        return self.clip_id, self.start, self.end


@dataclass(slots=True)
class DrawnForRule:
    """What was drawn for one limit, and out of what."""

    limit: AuditedLimit
    inside: list[Drawn] = field(default_factory=list)
    outside: list[Drawn] = field(default_factory=list)
    passing: int = 0
    """Moments within the limit."""
    rejected: int = 0
    """Moments beyond it."""
    rejected_alone: int = 0
    """Those of them that nothing else rejects."""


class _Nearest:
    """The `count` moments nearest to a limit, those beyond it alone before all others; of equal
    ones those with the lower hash.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.heap: list[tuple[bool, float, int, Drawn]] = []

    def add(self, distance: float, tie: int, one: Drawn) -> None:
        entry = (one.alone, -distance, -tie, one)
        if len(self.heap) < self.count:
            heapq.heappush(self.heap, entry)
        elif entry[:3] > self.heap[0][:3]:
            heapq.heapreplace(self.heap, entry)

    def ordered(self) -> list[Drawn]:
        return [entry[3] for entry in sorted(self.heap, key=lambda e: e[:3], reverse=True)]


def draw(
    clips: Iterable[MeasuredClip],
    limits: Sequence[AuditedLimit],
    count: int,
    seed: int,
) -> list[DrawnForRule]:
    """Draw up to `count` moments just inside and as many just outside of each limit.

    A moment inside breaks no limit: what is wrong with it for a known reason is no miss of this
    one. Outside, those that break this limit alone come first. Independent of the order of `clips`.
    """
    found = [DrawnForRule(limit) for limit in limits]
    near = {(rule.limit.name, side): _Nearest(count) for rule in found for side in (False, True)}
    for one in clips:
        if one.sync is None or one.quality is None or not one.stretches:
            continue
        moments = [list(rule.limit.moments(one)) for rule in found]
        for rule, own in zip(found, moments, strict=True):
            for moment in own:
                others = _others(one, rule, moment, found, moments)
                _count(rule, moment, others)
                beyond = rule.limit.rejects(moment.value)
                if beyond or not others:
                    drawn = _drawn(one, rule.limit, moment, not others)
                    distance = abs(moment.value - rule.limit.limit)
                    near[rule.limit.name, beyond].add(distance, _hash(seed, drawn), drawn)
    for rule in found:
        rule.inside = near[rule.limit.name, False].ordered()
        rule.outside = near[rule.limit.name, True].ordered()
    return found


def mixed(drawn: Iterable[DrawnForRule], seed: int) -> list[Drawn]:
    """Return every moment once, in an order that tells nothing of limits and sides."""
    every = {one.moment: one for rule in drawn for one in (*rule.inside, *rule.outside)}
    return sorted(every.values(), key=lambda one: _hash(seed, one))


def moment_id(seed: int, one: Drawn) -> str:
    """Return the name of a moment on the page and in files of labels."""
    return f"{_hash(seed, one):016x}"


def _hash(seed: int, one: Drawn) -> int:
    text = f"{seed}|{one.clip_id}|{one.start}|{one.end}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)


def _count(rule: DrawnForRule, moment: Moment, others: bool) -> None:
    if not rule.limit.rejects(moment.value):
        rule.passing += 1
        return
    rule.rejected += 1
    rule.rejected_alone += not others


def _others(
    one: MeasuredClip,
    rule: DrawnForRule,
    moment: Moment,
    rules: Sequence[DrawnForRule],
    moments: Sequence[Sequence[Moment]],
) -> bool:
    """Return whether anything else is wrong in the frames of a moment.

    Two limits on one thing, as how surely and how long a mouth is covered, are one rule.
    """
    begin = one.clip.start_frame
    for stretch in one.stretches:
        span = stretch.start_frame - begin, stretch.end_frame - begin
        if stretch.kind != "in_sync" and _overlap(span, moment):
            return True
    return any(
        other.limit.reason != rule.limit.reason
        and other.limit.rejects(that.value)
        and (other.limit.whole_clip or _overlap((that.start, that.end), moment))
        for other, own in zip(rules, moments, strict=True)
        for that in own
    )


def _overlap(span: tuple[int, int], moment: Moment) -> bool:
    return span[0] < moment.end and moment.start < span[1]


def _drawn(one: MeasuredClip, limit: AuditedLimit, moment: Moment, alone: bool) -> Drawn:
    middle = (moment.start + moment.end) / 2 + one.clip.start_frame
    inside = [s for s in one.stretches if s.start_frame <= middle < s.end_frame]
    lead = inside[0].offset_frames if inside and inside[0].kind == "in_sync" else 0.0
    return Drawn(
        rule=limit.name,
        clip_id=one.clip.clip_id,
        artifact=one.clip.artifact,
        value=moment.value,
        start=moment.start,
        end=moment.end,
        lead_frames=lead,
        alone=alone,
    )
