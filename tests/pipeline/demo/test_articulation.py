import numpy as np
import pytest

from pipeline.demo.articulation import LEAD_S, TRACK_HZ, articulate, still
from pipeline.demo.speech import Phoneme, Speech

MAMA = [Phoneme(0.5, "m"), Phoneme(0.6, "ˈɑː"), Phoneme(0.8, "m"), Phoneme(0.9, "ə")]  # noqa: RUF001
END = [Phoneme(1.1, "")]


def test_lips_touch_for_m_and_open_for_a() -> None:
    lips = articulate([*MAMA, *END], 1.5)
    assert lips.at(0.55 - LEAD_S)[0] < 0.03
    assert lips.at(0.85 - LEAD_S)[0] < 0.03
    assert lips.at(0.7)[0] > 0.55


def test_lips_touch_before_the_burst_of_p() -> None:
    lips = articulate([Phoneme(0.3, "ɑ"), Phoneme(0.6, "p"), Phoneme(0.65, "ɑ"), *END], 1.5)  # noqa: RUF001
    assert lips.at(0.57 - LEAD_S)[0] < 0.03
    assert lips.at(0.75)[0] > 0.7


def test_u_rounds_and_i_spreads() -> None:
    lips = articulate([Phoneme(0.2, "u"), Phoneme(0.6, "i"), *END], 1.5)
    assert lips.at(0.4)[1] < -0.8
    assert lips.at(0.85)[1] > 0.6


def test_f_tucks_the_lower_lip() -> None:
    lips = articulate([Phoneme(0.3, "ɑ"), Phoneme(0.5, "f"), Phoneme(0.65, "ɑ"), *END], 1.5)  # noqa: RUF001
    assert lips.at(0.56)[3] > 0.9
    assert lips.at(0.3)[3] < 0.05


def test_both_halves_of_a_diphthong_are_seen() -> None:
    lips = articulate([Phoneme(0.2, "aʊ"), *END], 1.5)
    assert lips.at(0.4)[0] > 0.8
    assert lips.at(0.95)[1] < -0.7


@pytest.mark.parametrize("start_s", [0.0, 0.4])
def test_the_mouth_moves_only_around_what_is_said(spoken: Speech, start_s: float) -> None:
    lips = articulate(spoken.phonemes, spoken.duration_s + 2, start_s)
    active = np.flatnonzero(lips.gap > 0.05) / TRACK_HZ
    assert active.min() > start_s - 0.15
    assert active.max() < start_s + spoken.duration_s + 0.1
    assert np.abs(np.diff(lips.gap)).max() < 0.2  # of full opening in 5 ms: no jumps


def test_a_silent_mouth_stays_shut() -> None:
    assert not still(2.0).at(1.0).any()
