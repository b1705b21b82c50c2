"""The comparison of the SyncNet judge with the package syncnet-python."""

from benchmarks.judge import Comparison, Cost, fastest, median

THEIRS = (Cost(6.0, 9.0, 5.0), Cost(4.0, 8.0, 6.0), Cost(90.0, 7.0, 7.0))
OURS = (Cost(2.0, 4.0, 3.0), Cost(3.0, 40.0, 2.0), Cost(1.0, 2.0, 1.0))


def test_ratios_are_of_medians_so_that_one_disturbed_run_counts_for_little() -> None:
    found = Comparison(48, THEIRS, OURS, 0, 0.0, 0.0)
    assert found.wall_ratio == 6 / 2
    assert found.cpu_ratio == 8 / 4


def test_the_fastest_and_the_median_of_runs_are_taken_of_each_measure_by_itself() -> None:
    assert fastest(OURS) == Cost(1.0, 2.0, 1.0)
    assert median(OURS) == Cost(2.0, 4.0, 2.0)
