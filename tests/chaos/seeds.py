"""The seeds of a rehearsal; the first ones are in the suite's quick half."""

from typing import Any

import pytest


def seeds(count: int, quick: int = 1) -> list[Any]:
    """Return `count` seeds as parameters, of which the first `quick` carry the marker `quick`."""
    marks: Any = pytest.mark.quick
    return [pytest.param(seed, marks=marks if seed < quick else ()) for seed in range(count)]
