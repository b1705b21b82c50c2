"""The rule that decides about claims, and the numbers that go into it."""

import math

import numpy as np
import pytest

from benchmarks.claims.__main__ import CLAIMS
from benchmarks.claims.claim import METRICS, Claim, Comparison, Variant
from benchmarks.claims.syncnet_run import curve_metrics, roughness
from benchmarks.claims.verdicts import compared, distances_from_mean, verdict_of

HIGH = Comparison(metric="r", higher="a", lower="b")


def decided(a, b):
    return compared(HIGH, {"a": {"r": a}, "b": {"r": b}})


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([1.0, 1.1, 1.2], [0.5, 0.6, 0.7], "reproduced"),
        ([0.5, 0.6, 0.7], [1.0, 1.1, 1.2], "contradicted"),
        ([0.5, 1.0, 1.5], [0.4, 0.9, 1.4], "not established"),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "not established"),
        ([1.0, 1.1], [0.5, 0.6, 0.7], "no verdict"),
        ([], [0.5, 0.6, 0.7], "no verdict"),
    ],
)
def test_a_difference_decides_beyond_two_standard_errors_of_three_seeds(a, b, verdict):
    assert decided(a, b).verdict == verdict


def test_the_standard_error_is_that_of_a_difference_of_two_means():
    found = decided([1.0, 2.0, 3.0], [0.0, 0.0, 3.0])
    assert found.difference == pytest.approx(1.0)
    assert found.standard_error == pytest.approx(math.sqrt(1 / 3 + 3 / 3))


SPREAD = Comparison(metric="r", higher="a", lower="b", of="spread")


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([0.0, 1.0, 5.0], [9.0, 9.1, 9.2], "reproduced"),
        ([9.0, 9.1, 9.2], [0.0, 1.0, 5.0], "contradicted"),
        ([0.0, 1.0, 2.0], [9.0, 9.0, 9.0], "not established"),
        ([0.0, 1.0, 5.0], [4.0, 5.0, 9.0], "not established"),
        ([0.0, 5.0], [9.0, 9.1, 9.2], "no verdict"),
    ],
)
def test_spreads_are_compared_by_the_distances_from_the_mean_wherever_that_is(a, b, verdict):
    assert compared(SPREAD, {"a": {"r": a}, "b": {"r": b}}).verdict == verdict
    assert distances_from_mean([0.0, 1.0, 5.0]) == [2.0, 1.0, 3.0]


def shares_found(comparison, wider):
    """Return how often 3 + 3 normal numbers, the first three so much wider, are said to differ."""
    drawn = np.random.default_rng(0).normal(size=(3000, 2, 3))
    found = [
        compared(comparison, {"a": {"r": (wider * a).tolist()}, "b": {"r": b.tolist()}}).verdict
        for a, b in drawn
    ]
    return found.count("reproduced") / len(found)


def test_how_often_the_rule_is_wrong_and_what_three_seeds_can_show_of_spreads():
    assert shares_found(HIGH, 1.0) == pytest.approx(0.06, abs=0.015)
    assert shares_found(SPREAD, 1.0) == pytest.approx(0.09, abs=0.015)
    assert shares_found(SPREAD, 10.0) == pytest.approx(0.80, abs=0.02)


def test_all_comparisons_must_hold_and_one_turned_round_contradicts():
    variants = {name: Variant(label=name, system="syncnet") for name in "abc"}
    claim = Claim(
        key="x",
        title="",
        statement="",
        source="",
        here="",
        variants=variants,
        comparisons=(HIGH, Comparison(metric="r", higher="b", lower="c")),
    )
    high, middle, low = [3.0, 3.1, 3.2], [2.0, 2.1, 2.2], [1.0, 1.1, 1.2]
    orders = {
        "reproduced": (high, middle, low),
        "contradicted": (high, low, middle),
        "not established": (high, middle, middle),
        "no verdict": (high, middle, low[:2]),
    }
    for verdict, values in orders.items():
        numbers = {name: {"r": some} for name, some in zip("abc", values, strict=True)}
        assert verdict_of(claim, numbers)[0] == verdict


def test_a_claim_that_compares_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="no such variant"):
        Claim(
            key="x",
            title="",
            statement="",
            source="",
            here="",
            variants={"a": Variant(label="a", system="syncnet")},
            comparisons=(HIGH,),
        )


def test_keys_are_unique_and_every_number_of_a_claim_has_a_name():
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    assert {name for claim in CLAIMS for name in claim.metrics} <= set(METRICS)


def test_the_numbers_of_a_curve():
    losses = [0.75, 0.69, 0.67, 0.66, 0.67]
    curve = [
        {"step": 10 * n, "validation/loss": loss, "validation/accuracy": 0.5 + loss / 10}
        | {"validation/ranked": 0.6}
        for n, loss in enumerate(losses)
    ]
    found = curve_metrics([*curve, {"step": 45, "train/loss": 0.1}], windows_per_step=32)
    assert (found["loss"], found["best_loss"]) == (0.67, 0.66)
    assert (found["left_at_step"], found["left_at_windows"]) == (20, 640)
    assert found["roughness"] == pytest.approx(0.02)
    assert curve_metrics(curve[:2], 1)["left_at_step"] == 10, "the last step if it never leaves"
    assert roughness([0.5, 0.4]) == 0
