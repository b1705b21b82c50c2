"""The order of windows: every clip once per epoch, determined by the seed alone."""

from collections import Counter

import numpy as np
import pytest

from trainers.data.order import Order, OrderConfig, Pick
from trainers.errors import TrainingDataError

SHARDS = [5, 0, 7, 3]


def order(**named) -> Order:
    config = {"seed": 1, "batch": 3, "windows_per_clip": 4, "in_flight_clips": 8}
    return Order(SHARDS, OrderConfig(**config | named))


def picks(made: Order, steps: int, first: int = 0) -> list[list[Pick]]:
    positions = range(made.config.batch)
    return [[made.pick(step, p) for p in positions] for step in range(first, first + steps)]


def test_any_step_can_be_asked_for_first():
    assert picks(order(), 5, first=400) == picks(order(), 405)[400:]


def test_another_seed_gives_another_order():
    assert picks(order(), 9) != picks(order(seed=2), 9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("batch", "windows", "clips"), [(3, 4, 8), (1, 1, 1), (8, 3, 2), (2, 9, 4)]
)
def test_every_clip_of_the_stream_gets_its_windows_and_no_draw_comes_twice(
    seed, batch, windows, clips
):
    made = order(seed=seed, batch=batch, windows_per_clip=windows, in_flight_clips=clips)
    lanes = made.config.lanes
    seen = [p for step in picks(made, 40 * windows * lanes) for p in step]
    draws = Counter((p.ordinal, p.draw) for p in seen)
    assert set(draws.values()) == {1}
    per_clip = Counter(p.ordinal for p in seen)
    last = max(per_clip) - made.config.slots
    whole = [per_clip[ordinal] for ordinal in range(made.config.slots, last + 1)]
    assert set(whole) == {windows}
    assert all(per_clip[ordinal] >= 1 for ordinal in range(made.config.slots))


def test_every_epoch_shows_every_clip_once():
    made = order()
    stream = {p.ordinal: p.clip for step in picks(made, 400) for p in step}
    clips = [stream[ordinal] for ordinal in range(max(stream) + 1 - made.config.slots)]
    for epoch in range(len(clips) // 15):
        assert sorted(clips[15 * epoch : 15 * epoch + 15]) == list(range(15))
    assert clips[:15] != clips[15:30]


def test_a_position_keeps_its_slots_so_that_one_worker_decodes_a_clip():
    for step in picks(order(), 50):
        assert [p.slot % 3 for p in step] == [0, 1, 2]


def test_a_batch_shows_different_clips_while_there_are_enough():
    made = Order([500], OrderConfig(seed=0, batch=8, windows_per_clip=16, in_flight_clips=32))
    within = [step for step in picks(made, 300) if len({p.epoch for p in step}) == 1]
    assert len(within) > 200
    assert all(len({p.clip for p in step}) == 8 for step in within)


def test_clips_change_evenly_not_all_at_once():
    made = Order([500], OrderConfig(seed=0, batch=8, windows_per_clip=16, in_flight_clips=32))
    known: set[int] = set()
    new = []
    for step in picks(made, 1000):
        new.append(len({p.ordinal for p in step} - known))
        known |= {p.ordinal for p in step}
    rounds = np.add.reduceat(new, range(0, 1000, 4))[1:]
    assert set(rounds.tolist()) == {2}  # 32 slots / 16 windows


def test_clips_of_a_group_of_shards_come_before_the_next_group():
    made = Order([10] * 20, OrderConfig(seed=3, batch=1, shuffle_clips=40))
    shards = made.epoch(0) // 10
    groups = [set(shards[i : i + 40].tolist()) for i in range(0, 200, 40)]
    assert [len(group) for group in groups] == [4] * 5
    assert sorted(s for group in groups for s in group) == list(range(20))
    assert made.epoch(0)[:40].tolist() != sorted(made.epoch(0)[:40].tolist())


def test_the_draws_of_a_clip_are_spread_over_all_its_starts():
    made = Order([4], OrderConfig(seed=0, batch=1, windows_per_clip=10, in_flight_clips=1))
    starts: dict[int, list[int]] = {}
    for (pick,) in picks(made, 60):
        starts.setdefault(pick.ordinal, []).append(made.start(pick, 100, made.draw_rng(pick)))
    for drawn in list(starts.values())[1:-1]:
        assert sorted(s // 10 for s in drawn) == list(range(10))
        assert drawn != sorted(drawn)


def test_a_start_lies_in_its_range_even_if_there_is_one():
    made = order()
    all_picks = [p for step in picks(made, 200) for p in step]
    assert {made.start(p, 1, made.draw_rng(p)) for p in all_picks} == {0}
    assert {made.start(p, 2, made.draw_rng(p)) for p in all_picks} == {0, 1}


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"windows_per_clip": 0}, {"seed": -1}])
def test_impossible_numbers_are_refused_by_name(wrong):
    with pytest.raises(TrainingDataError, match=next(iter(wrong))):
        order(**wrong)


def test_no_clip_at_all_is_an_error():
    with pytest.raises(TrainingDataError, match="no clip"):
        Order([0, 0], OrderConfig(seed=0, batch=1))
