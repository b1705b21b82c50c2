"""A score as text, as JSON and as a page."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.audit.audited_limits import NOT_AUDITED
from pipeline.audit.labels import PairAgreement
from pipeline.audit.score import AuditScore, RuleScore
from pipeline.audit.statistics import Proportion
from pipeline.html.drawing import HEIGHT, WIDTH
from pipeline.html.templates import html_environment
from pipeline.html.words import number
from pipeline.tables.printable import visible

FORMAT = "lipforge audit score 1"
_NAMED = 5
"""Ids of a kind that the text names; the JSON has all."""


def as_json(score: AuditScore) -> dict[str, Any]:
    """Return the whole score."""
    return {
        "format": FORMAT,
        "interval": "Wilson score interval, 95 %",
        "not_audited": NOT_AUDITED,
        **asdict(score),
    }


def as_text(score: AuditScore) -> str:
    """Return the score for a terminal: a line per limit, then what else is to be said."""
    titles = ("limit", "precision", "of those it alone rejects", "recall")
    lines = ["{:<32} {:<25} {:<25} {:<25} suggested".format(*titles)]
    for rule in score.rules:
        of = f"{rule.name} {'<=' if rule.at_most else '>='} {rule.limit:g}"
        shares = map(_share, (rule.precision, rule.precision_alone, rule.recall))
        lines.append("{:<32} {:<25} {:<25} {:<25} {}".format(of, *shares, _suggested(rule)))
        lines += [f"  {remark}" for remark in rule.remarks]
    lines.append(
        "precision: bad among those rejected; recall: rejected among the bad, near the limit;"
    )
    lines.append("intervals: Wilson, 95 %; of suggestions: middle 95 % of 1000 resamples")
    return "\n".join([*lines, *map(visible, notes(score))])


def notes(score: AuditScore) -> list[str]:
    """Return what is to be said of the labels as a whole."""
    found = score.verdicts
    people = ", ".join(f"{name} {count}" for name, count in found.labellers.items())
    lines = [f"labels: {people}" if people else "no labels"]
    lines += [_agreement(pair) for pair in found.pairs]
    if found.split:
        lines.append(f"{found.split} clips: as many say good as bad; they count for neither")
    if found.contradictory:
        lines.append(f"one person's labels differ, and do not count: {_some(found.contradictory)}")
    if score.gone:
        lines.append(f"labelled, but not in the tables any more: {_some(score.gone)}")
    if score.unknown:
        lines.append(f"labelled, but unknown to the key: {_some(score.unknown)}")
    return lines


def _agreement(pair: PairAgreement) -> str:
    one = pair.agreement
    who = f"{pair.first} and {pair.second}, {one.clips} clips in common"
    if one.observed is None:
        return f"{who}: no agreement to measure"
    if one.kappa is None:
        return f"{who}: both always say the same one thing, kappa is undefined"
    interval = f"[{one.low:.2f}, {one.high:.2f}]"
    return f"{who}: agree in {one.observed:.2f}, Cohen's kappa {one.kappa:.2f} {interval}"


def _some(ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more


def _share(one: Proportion) -> str:
    if one.value is None:
        return "-"
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}] of {one.of}"


def _suggested(rule: RuleScore) -> str:
    one = rule.suggestion
    if one is None:
        return "-"
    interval = f"[{one.low:.4g}, {one.high:.4g}]"
    if one.limit == rule.limit:
        return f"as it is {interval}, errors {one.errors}"
    return f"{one.limit:.4g} {interval}, errors {one.errors_now} -> {one.errors}"


@dataclass(frozen=True, slots=True)
class YieldPlot:
    """The yield curve of one limit as SVG coordinates."""

    kept: str
    good: str
    limit_x: float
    suggested_x: float | None
    start: str
    end: str


def as_page(score: AuditScore) -> str:
    """Return the score as one HTML page without script or network."""
    environment = html_environment("pipeline.audit")
    environment.filters |= {"visible": visible, "number": number, "share": _share}
    return environment.get_template("score.html.j2").render(
        rules=[(rule, _plot(rule), _suggested(rule)) for rule in score.rules],
        notes=notes(score),
        not_audited=NOT_AUDITED,
        drawing={"width": WIDTH, "height": HEIGHT},
    )


def _plot(rule: RuleScore) -> YieldPlot | None:
    """Draw share kept and labelled quality over the limit; None with nothing labelled."""
    if len(rule.curve) < 2:
        return None
    places = [point.limit for point in rule.curve]
    low, span = places[0], places[-1] - places[0]

    def x(place: float) -> float:
        return round(min(1.0, max(0.0, (place - low) / span)) * WIDTH, 2)

    return YieldPlot(
        kept=_line((x(point.limit), point.kept.value) for point in rule.curve),
        good=_line((x(point.limit), point.good.value) for point in rule.curve),
        limit_x=x(rule.limit),
        suggested_x=x(rule.suggestion.limit) if rule.suggestion else None,
        start=number(places[0]),
        end=number(places[-1]),
    )


def _line(points: Iterable[tuple[float, float | None]]) -> str:
    return " ".join(f"{x},{round((1 - y) * HEIGHT, 2)}" for x, y in points if y is not None)
