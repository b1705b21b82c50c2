"""The arithmetic of an audit against values worked out by hand."""

import pytest

from pipeline.audit.statistics import Labelled, agreement, proportion, suggest


def test_wilsons_interval_of_eight_in_ten():
    # centre (0.8 + 0.192073) / 1.384146, half width 1.959964 * sqrt(0.016 + 0.009604) / 1.384146
    one = proportion(8, 10)
    assert (one.value, one.low, one.high) == pytest.approx((0.8, 0.490162, 0.943318), abs=1e-5)


def test_wilsons_interval_of_none_in_ten_has_a_width():
    # low 0; high z^2 / (10 + z^2) = 3.841459 / 13.841459
    one = proportion(0, 10)
    assert (one.value, one.low, one.high) == pytest.approx((0.0, 0.0, 0.277533), abs=1e-5)


def test_a_share_of_nothing_is_no_number():
    assert proportion(0, 0).value is None


def test_kappa_of_a_table_worked_out_by_hand():
    # observed 35/50; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5; (0.7 - 0.5) / 0.5
    # standard error sqrt(0.7 * 0.3 / (50 * 0.25)) = 0.129615
    pairs = [("good", "good")] * 20 + [("good", "bad")] * 5
    pairs += [("bad", "good")] * 10 + [("bad", "bad")] * 15
    one = agreement(pairs)
    expected = (0.7, 0.4, 0.4 - 0.254040, 0.4 + 0.254040)
    assert (one.observed, one.kappa, one.low, one.high) == pytest.approx(expected, abs=1e-5)


def test_kappa_is_undefined_where_both_always_say_the_same_one_thing():
    assert agreement([("good", "good")] * 4).kappa is None
    assert agreement([("bad", "good")] * 4).kappa == 0
    assert agreement([]).observed is None


@pytest.mark.parametrize(
    ("at_most", "goods", "bads", "current", "limit", "errors"),
    [
        (True, [0, 1, 2], [3, 4, 5], 4.0, 2.5, (2, 0)),
        (False, [5, 6, 7], [1, 2, 3], 2.0, 4.0, (2, 0)),
        (True, [0, 1, 2], [3, 4, 5], 2.6, 2.6, (0, 0)),  # no other is better: it stays
        (True, [0, 1, 2, 6], [3, 4, 5], 7.0, 2.5, (3, 1)),
    ],
)
def test_the_suggested_limit_makes_the_fewest_errors(at_most, goods, bads, current, limit, errors):
    labelled = [Labelled(float(v), True) for v in goods] + [Labelled(float(v), False) for v in bads]
    found = suggest(labelled, at_most, current)
    assert found is not None
    assert found.limit == limit
    assert (found.errors_now, found.errors) == errors
    assert found.low <= limit <= found.high
    assert found == suggest(labelled, at_most, current)


@pytest.mark.parametrize("bads", [0, 2])
def test_nothing_is_suggested_from_fewer_than_three_of_each(bads):
    labelled = [Labelled(float(n), n >= bads) for n in range(20)]
    assert suggest(labelled, False, 1.5) is None
    assert suggest([Labelled(one.value, not one.good) for one in labelled], True, 1.5) is None
    assert suggest([], True, 1.5) is None


def test_the_interval_of_a_suggestion_is_wide_where_good_and_bad_overlap():
    clear = [Labelled(n / 10, n < 20) for n in range(40)]
    mixed = [Labelled(n / 10, n < 20 if n % 3 else n >= 20) for n in range(40)]
    sure, unsure = suggest(clear, True, 2.0), suggest(mixed, True, 2.0)
    assert sure is not None
    assert unsure is not None
    assert sure.high - sure.low < 0.5 < unsure.high - unsure.low
