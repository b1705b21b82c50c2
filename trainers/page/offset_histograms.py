"""Drawings of histograms that were counted by the pre-flight."""

from collections.abc import Mapping, Sequence

from pipeline.html.drawing import HEIGHT, WIDTH, Bar, Histogram, Mark, Measure
from pipeline.html.words import number

FEWEST_BARS = 13
_TICKS = 7


def offset_histograms(split: Mapping[str, object]) -> list[Histogram]:
    """Return the offsets as found, and what is left of them in quarters of a frame.

    Args:
        split: `findings.train` of preflight.json.
    """
    before = Measure("before", "A/V offset as found", "frames", "positive: audio early", 1)
    after = Measure("after", "Left after the correction", "frames", "scored anew", 0.25)
    return [
        counted(before, _counts(split.get("offsets_before")), ()),
        counted(after, _counts(split.get("residual_quarters")), (-1.0, 1.0)),
    ]


def counted(measure: Measure, counts: Mapping[int, int], limits: Sequence[float]) -> Histogram:
    """Place one bar per multiple of `measure.step`, 0 in the middle."""
    if not counts:
        return Histogram(measure, (), (), (), 0, "No clip was scored")
    reach = max([FEWEST_BARS // 2, *map(abs, counts)])
    bars = 2 * reach + 1
    highest = max(counts.values())

    def x(place: float) -> float:
        return round((place + reach + 0.5) / bars * WIDTH, 2)

    every = -(-bars // _TICKS)
    ticks = [place for place in range(-reach, reach + 1) if place % every == 0]
    return Histogram(
        measure=measure,
        bars=tuple(
            _bar(x(place - 0.5), WIDTH / bars, counts[place], highest, place * measure.step)
            for place in sorted(counts)
        ),
        ticks=tuple(Mark(x(place), number(place * measure.step)) for place in ticks),
        limits=tuple(
            Mark(x(limit / measure.step), number(limit))
            for limit in limits
            if abs(limit / measure.step) <= reach
        ),
        highest=highest,
        summary=_summary(measure, counts),
    )


def _bar(x: float, width: float, count: int, highest: int, value: float) -> Bar:
    height = round(count / highest * HEIGHT, 2)
    return Bar(x, round(width, 2), count, 0, height, 0.0, f"{number(value)}: {count} clips")


def _summary(measure: Measure, counts: Mapping[int, int]) -> str:
    total, centred = sum(counts.values()), counts.get(0, 0)
    low, high = (number(end * measure.step) for end in (min(counts), max(counts)))
    return f"{centred} of {total} clips at 0, from {low} to {high}"


def _counts(found: object) -> dict[int, int]:
    return {int(place): int(n) for place, n in found.items()} if isinstance(found, dict) else {}
