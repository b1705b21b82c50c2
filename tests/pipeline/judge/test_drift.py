import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.judge.drift import MIN_WINDOWS, drift_frames


def leaning(windows: int, drift: float, noise: float = 0.02) -> NDArray[np.float64]:
    """A map of distances whose minimum wanders by `drift` frames from beginning to end."""
    rng = np.random.default_rng(0)
    centre = 15 + drift * (np.arange(windows) / (windows - 1) - 0.5)
    dip = np.exp(-0.5 * ((np.arange(31) - centre[:, None]) / 1.2) ** 2)
    return 1.2 - 0.4 * dip + rng.normal(0, noise, (windows, 31))


@pytest.mark.parametrize("drift", [-6.0, -2.0, 0.0, 1.0, 3.0, 8.0])
def test_a_drift_is_found_to_half_a_frame(drift: float) -> None:
    found = drift_frames(leaning(200, drift))
    assert found == pytest.approx(drift, abs=0.5)


def test_a_sudden_cut_counts_as_drift() -> None:
    distances = leaning(200, 0.0)
    distances[100:] = np.roll(distances[100:], 6, axis=1)
    found = drift_frames(distances)
    assert found is not None
    assert found > 4


def test_pairs_outside_of_the_clip_do_not_pretend_a_drift() -> None:
    distances = leaning(120, 0.0)
    for column in range(31):
        offset = column - 15
        distances[: max(0, offset), column] = np.nan
        distances[len(distances) + min(0, offset) :, column] = np.nan
    assert drift_frames(distances) == pytest.approx(0.0, abs=0.25)


def test_a_clip_under_four_seconds_is_too_short_to_tell() -> None:
    assert drift_frames(leaning(MIN_WINDOWS - 1, 3.0)) is None
    assert drift_frames(leaning(MIN_WINDOWS, 3.0)) is not None
