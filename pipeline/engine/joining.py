"""One outcome per film from those of its spans, so that tables and counts know films only."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from pipeline.engine.outcome import Outcome, Part, Status

SEPARATOR = ":"
"""Between the name of a film and the first frame of a span."""
Spans = Sequence[tuple[int, Sequence[Part]]]
"""First frame of each span of a film, and its rows."""
Join = Callable[[str, Spans], Sequence[Part]]
"""Makes the rows of a film, which is named, from those of its spans."""


def item_name(film: str, span: tuple[int, int] | None) -> str:
    """Name the item that is a film, or a span [first, end) of its frames."""
    return f"{film}{SEPARATOR}{span[0]:08d}" if span else film


def joined(outcomes: Sequence[Outcome], join: Join) -> list[Outcome]:
    """Return one outcome per film; that of a film which is one span stays as it is.

    A film of which a span has failed is kept as far as the others are, with a row that says so.
    """
    ordered = sorted(outcomes, key=lambda one: one.item_id)
    films = groupby(ordered, key=lambda one: one.item_id.partition(SEPARATOR)[0])
    return [_film(name, list(spans), join) for name, spans in films]


def _film(name: str, spans: Sequence[Outcome], join: Join) -> Outcome:
    if len(spans) == 1 and spans[0].item_id == name:
        return spans[0]
    by_frame = [(int(span.item_id.partition(SEPARATOR)[2]), span.parts) for span in spans]
    parts = join(name, by_frame)
    status = _status([part.status for part in parts])
    if status != "kept":  # the first part says why
        parts = sorted(parts, key=lambda part: part.status != status)
    return replace(
        spans[0],
        item_id=name,
        status=status,
        parts=tuple(parts),
        cached=all(span.cached for span in spans),
        final=all(span.final for span in spans),
        trace="".join(span.trace for span in spans),
        transient=any(span.transient for span in spans),
    )


def _status(found: Sequence[Status]) -> Status:
    """Return `kept` if any part is, else what is worst."""
    order: tuple[Status, ...] = ("kept", "quarantined", "failed", "rejected")
    return next(status for status in order if status in found)
