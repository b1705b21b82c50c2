"""What workers ask for, and how many of them: without a Ray."""

import pytest

from pipeline.engine.ray_deaths import killed_for_memory, used_bytes
from pipeline.engine.ray_seats import Seats, options_on
from pipeline.engine.stage import Resources

NEED = Resources(memory_bytes=10**9, gpus=0.25)
CARD = {"CPU": 4.0, "memory": 8e9, "GPU": 1.0}
SMALL = {"CPU": 2.0, "memory": 5e8}


def test_a_worker_asks_for_its_share_and_never_for_more_memory_than_the_largest_node_has():
    assert options_on([SMALL, CARD], NEED, True) == {
        "num_cpus": 1.0,
        "num_gpus": 0.25,
        "memory": 10**9,
    }
    assert options_on([SMALL], NEED, True) == {
        "num_cpus": 1.0,
        "num_gpus": 0.0,
        "memory": 5 * 10**8,
    }
    assert options_on([{"CPU": 0.0, "memory": 1e8}], NEED, True)["memory"] == 10**9
    assert options_on([CARD], NEED, False)["num_gpus"] == 0.0


@pytest.mark.parametrize(
    ("seats", "placed", "waiting", "items", "wanted"),
    [
        (Seats(NEED, None, True), 0, 0, 100, 4),
        (Seats(NEED, None, True), 10, 4, 100, 6),
        (Seats(NEED, None, True), 1000, 0, 10**6, 64),
        (Seats(NEED, None, True), 10, 2, 3, 1),
        (Seats(NEED, 12, True), 10, 0, 100, 2),
        (Seats(NEED, 4, False), 0, 0, 100, 4),
        (Seats(NEED, 1, True), 1, 0, 100, 0),
    ],
)
def test_waiting_workers_are_bounded_by_places_items_and_the_users_limit(
    seats, placed, waiting, items, wanted
):
    assert seats.wanted(placed, waiting, items) == wanted


def test_a_memory_kill_blames_the_item_only_if_its_own_worker_was_over_its_share():
    said = "pid=271, actual memory used=9.00GB, ...), (... pid=2725, actual memory used=728.50MB"
    assert used_bytes(said, 2725) == 728_500_000
    assert used_bytes(said, 27) == 0
    assert killed_for_memory(used_bytes(said, 2725), 10**9).by_machine
    assert not killed_for_memory(used_bytes(said, 271), 10**9).by_machine
