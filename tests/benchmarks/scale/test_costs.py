"""The arithmetic of docs/scale.md, and that the page shows what it gives."""

from dataclasses import replace

import pytest

from benchmarks.scale import costs, page
from benchmarks.scale.costs import CORPORA, STAGES, Corpus
from tests.conftest import ROOT

HOUR = Corpus(name="one", hours=1, film_s=360, clip_s=6, face_share=0.5, mbit_s=8)
"""Ten films, 300 clips."""


def test_the_page_shows_the_tables_that_the_program_prints():
    written = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    missing = [line for line in page.pages_tables().splitlines() if line[:2] == "| "]
    assert len(missing) > 40
    assert [line for line in missing if line not in written] == []


def test_items_and_core_hours_follow_from_films_clips_and_samples():
    by_name = {one.stage: one for one in STAGES}
    assert (HOUR.films, HOUR.clips) == (10, 300)
    assert costs.items_of(by_name["ingest"], HOUR) == 10
    assert costs.items_of(by_name["shards"], HOUR) == pytest.approx(300 * costs.SAMPLE_SHARE)
    quality = replace(by_name["quality"], cpu_s=0.02, driver_ms=12.0)
    assert costs.core_hours(quality, HOUR) == pytest.approx(0.01)
    assert costs.driver_hours(quality, HOUR) == pytest.approx(300 * 0.012 / 3600)


def test_more_cores_shorten_the_workers_part_only():
    least = costs.alone_hours(HOUR) + costs.look_up_hours(HOUR)
    assert costs.wall_hours(HOUR, 1) > costs.wall_hours(HOUR, 64) > least
    driver = sum(costs.driver_hours(one, HOUR) for one in STAGES)
    assert costs.wall_hours(HOUR, 10**9) == pytest.approx(least + driver)


def test_an_hour_of_8_mbit_is_three_and_a_half_gigabytes_and_a_price_counts_once(monkeypatch):
    assert costs.stored_gb(HOUR)["sources"] == pytest.approx(3.6)
    before = costs.dollars(HOUR)
    dearer = replace(costs.PRICES["gpu"], dollars=2 * costs.PRICES["gpu"].dollars)
    monkeypatch.setitem(costs.PRICES, "gpu", dearer)
    after = costs.dollars(HOUR)
    assert {k: after[k] / before[k] for k in after} == {
        **dict.fromkeys(after, 1.0),
        "SyncNet judge, GPU": 2.0,
    }


def test_twice_the_hours_cost_twice():
    for one in CORPORA:
        two = replace(one, hours=2 * one.hours)
        assert costs.puts(two) == pytest.approx(2 * costs.puts(one))
        assert costs.wall_hours(two, 64) == pytest.approx(2 * costs.wall_hours(one, 64))
        assert sum(costs.dollars(two).values()) == pytest.approx(
            2 * sum(costs.dollars(one).values())
        )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (9.96, "10"), (123.4, "123"), (30_312, "30,300")],
)
def test_numbers_are_shown_with_the_digits_that_count(value, text):
    assert page.shown(value) == text
