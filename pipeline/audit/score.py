"""What labels say about each limit of `select`: precision, recall, yield curve, suggestion."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.audit.audited_limits import AuditedLimit
from pipeline.audit.draw import Drawn
from pipeline.audit.key_file import Key, RuleKey
from pipeline.audit.labels import Verdicts
from pipeline.audit.statistics import (
    LEAST_OF_EACH,
    Labelled,
    Proportion,
    Suggestion,
    proportion,
    suggest,
)
from pipeline.tables.run_tables import MeasuredClip


@dataclass(frozen=True, slots=True)
class YieldPoint:
    """What another limit would keep."""

    limit: float
    kept: Proportion
    """Of all clips, or stretches, of the tables, by this limit alone."""
    good: Proportion
    """Of the labelled ones that it keeps, without those that another rule rejects."""


@dataclass(frozen=True, slots=True)
class RuleScore:
    """One limit and what the labels say about it."""

    name: str
    reason: str
    at_most: bool
    limit: float
    drawn_inside: int
    drawn_outside: int
    rejected: int
    """In the tables the clips were drawn from."""
    rejected_alone: int
    precision: Proportion
    """Bad ones among the labelled just outside: what the rule rejects rightly."""
    precision_alone: Proportion
    """The same of those that nothing else rejects: what the rule adds."""
    recall: Proportion
    """Of the bad ones near the limit, the part that the rule rejects."""
    cannot_tell: int
    suggestion: Suggestion | None
    curve: tuple[YieldPoint, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditScore:
    """All limits, and what is odd about the labels."""

    rules: tuple[RuleScore, ...]
    verdicts: Verdicts
    gone: tuple[str, ...]
    """Ids of labelled clips that are not in the tables any more."""
    unknown: tuple[str, ...]
    """Ids that the key does not know."""


@dataclass(frozen=True, slots=True)
class Population:
    """The numbers of all clips, limit by limit, sorted; and the clips' ids."""

    values: Mapping[str, Sequence[float]]
    clip_ids: frozenset[str]


def population(clips: Iterable[MeasuredClip], limits: Sequence[AuditedLimit]) -> Population:
    """Collect every number that a limit decides on."""
    values = {limit.name: array("d") for limit in limits}
    ids = set()
    for one in clips:
        ids.add(one.clip.clip_id)
        if one.sync is None or one.quality is None or not one.stretches:
            continue
        for limit in limits:
            values[limit.name].extend(moment.value for moment in limit.moments(one))
    return Population({name: sorted(own) for name, own in values.items()}, frozenset(ids))


def score(
    key: Key, verdicts: Verdicts, limits: Sequence[AuditedLimit], everyone: Population
) -> AuditScore:
    """Score every limit of the key that is in force, by the limits of today's params.yaml."""
    drawn = {name: one for rule in key.rules for name, one in rule.drawn}
    known = {name for name in verdicts.verdict if name in drawn}
    gone = {name for name in known if drawn[name].clip_id not in everyone.clip_ids}
    verdict = {name: verdicts.verdict[name] for name in known - gone}
    now = {limit.name: limit for limit in limits}
    rules = [
        _score(rule, now[rule.name], verdict, everyone.values[rule.name])
        for rule in key.rules
        if rule.name in now
    ]
    unknown = sorted(set(verdicts.verdict) - known)
    return AuditScore(tuple(rules), verdicts, tuple(sorted(gone)), tuple(unknown))


def _score(
    rule: RuleKey, limit: AuditedLimit, verdict: Mapping[str, str], values: Sequence[float]
) -> RuleScore:
    said = [(one, verdict[name]) for name, one in rule.drawn if name in verdict]
    clear = [(one, label == "good") for one, label in said if label in _CLEAR]
    labelled = [Labelled(one.value, good) for one, good in clear]
    alone = [Labelled(one.value, good) for one, good in clear if one.alone]
    added = [one for one in alone if limit.rejects(one.value)]
    outside = [one for one in labelled if limit.rejects(one.value)]
    bad = sum(not one.good for one in labelled)
    bad_outside = sum(not one.good for one in outside)
    sides = [limit.rejects(one.value) for _, one in rule.drawn]
    suggestion = suggest(alone, limit.at_most, limit.limit)
    return RuleScore(
        name=rule.name,
        reason=limit.reason,
        at_most=limit.at_most,
        limit=limit.limit,
        drawn_inside=sides.count(False),
        drawn_outside=sides.count(True),
        rejected=rule.rejected,
        rejected_alone=rule.rejected_alone,
        precision=proportion(bad_outside, len(outside)),
        precision_alone=proportion(sum(not one.good for one in added), len(added)),
        recall=proportion(bad_outside, bad),
        cannot_tell=len(said) - len(labelled),
        suggestion=suggestion,
        curve=_curve(limit, alone, values),
        remarks=tuple(_remarks(rule, limit, alone, said)),
    )


_CLEAR = ("good", "bad")


def _curve(
    limit: AuditedLimit, labelled: Sequence[Labelled], values: Sequence[float]
) -> tuple[YieldPoint, ...]:
    """Return a point at every labelled number, and at the limit in force."""
    places = sorted({one.value for one in labelled} | {limit.limit})
    return tuple(_point(place, limit, labelled, values) for place in places)


def _point(
    place: float, limit: AuditedLimit, labelled: Sequence[Labelled], values: Sequence[float]
) -> YieldPoint:
    if limit.at_most:
        kept = bisect_right(values, place)
        near = [one.good for one in labelled if one.value <= place]
    else:
        kept = len(values) - bisect_left(values, place)
        near = [one.good for one in labelled if one.value >= place]
    return YieldPoint(place, proportion(kept, len(values)), proportion(sum(near), len(near)))


def _remarks(
    rule: RuleKey,
    limit: AuditedLimit,
    labelled: Sequence[Labelled],
    said: Sequence[tuple[Drawn, str]],
) -> Iterable[str]:
    if limit.limit != rule.limit:
        yield f"the limit was {rule.limit:g} when the clips were drawn"
    if not rule.rejected:
        yield "rejects nothing in these tables: nothing can be said of what it rejects"
    elif not rule.rejected_alone:
        beyond = f"{rule.rejected} beyond it, each rejected by another rule, too"
        yield f"{beyond}: what this one adds cannot be said"
    if not said:
        yield "no clip of it has a label"
        return
    good = sum(one.good for one in labelled)
    if min(good, len(labelled) - good) < LEAST_OF_EACH:
        yield f"{good} good and {len(labelled) - good} bad near it: too few for a better limit"
