import numpy as np
import pytest

from pipeline.judge.curve import JudgeResult, read_curve
from trainers.systems.landmark_judge.calibration_fit import (
    DUBBED_SHARE,
    CalibrationExample,
    curve_points,
    default_threshold,
    example_weights,
    fit_calibration,
    held_out_probabilities,
)
from trainers.systems.landmark_judge.cross_validation import JudgedClip
from trainers.systems.landmark_judge.lip_audio_correlation import CorrelationPeak
from trainers.systems.landmark_judge.reference_offsets import ReferenceOffset, reference_offsets
from trainers.systems.landmark_judge.speech_clips import SpeechClip


def answer(offset: int, depth: float = 0.3, seed: int = 0, windows: int = 80) -> JudgeResult:
    distances = 1.2 + np.random.default_rng(seed).normal(0, 0.2, (windows, 31))
    distances[:, 15 + offset] -= depth
    return read_curve(distances)


def judged(offset: int, pieces: tuple[int, ...], name: str = "spkvid_x") -> JudgedClip:
    clip = SpeechClip(name, name, "spkvid", np.zeros((90, 121)), np.zeros((360, 40)))
    parts = [(answer(subclip, seed=n), answer(0, 0.0)) for n, subclip in enumerate(pieces)]
    return JudgedClip(clip, answer(offset), [], {}, {3: parts})


def decide(offset: int, pieces: tuple[int, ...], peak: CorrelationPeak) -> ReferenceOffset:
    return reference_offsets([judged(offset, pieces)], {"spkvid_x": peak})["spkvid_x"]


def test_a_clear_correlation_decides_whatever_the_judge_says() -> None:
    found = decide(0, (0, 0), CorrelationPeak(-4.2, 0.2))
    assert (found.source, found.in_sync) == ("correlation", False)
    assert not found.right(0)
    assert found.right(-5)


def test_a_faint_correlation_decides_only_with_the_judge() -> None:
    assert decide(-3, (-3, 4), CorrelationPeak(-2.6, 0.07)).source == "both"
    assert decide(0, (0, 0), CorrelationPeak(-2.6, 0.07)) == ReferenceOffset(0.0, "assumed")


def test_independent_references_give_the_judge_no_vote() -> None:
    peak = {"spkvid_x": CorrelationPeak(-2.6, 0.07)}
    steady = [judged(-3, (-3, -3))]
    assert reference_offsets(steady, peak)["spkvid_x"].source == "both"
    assert reference_offsets(steady, peak, independent=True)["spkvid_x"] == ReferenceOffset(
        0.0, "assumed"
    )
    clear = {"spkvid_x": CorrelationPeak(-2.6, 0.2)}
    assert reference_offsets(steady, clear, independent=True)["spkvid_x"].source == "correlation"


def test_a_steady_judge_decides_where_the_correlation_is_silent() -> None:
    found = decide(-8, (-8, -8, -8), CorrelationPeak(12.0, 0.01))
    assert found.source == "judge"
    assert not found.in_sync


def test_an_unsteady_judge_decides_nothing() -> None:
    assert decide(-8, (-8, 3, -7), CorrelationPeak(12.0, 0.01)) == ReferenceOffset(0.0, "assumed")
    assert decide(-8, (), CorrelationPeak(12.0, 0.01)).in_sync


def example(depth: float, right: bool, seed: int, fold: str = "a") -> CalibrationExample:
    return CalibrationExample(fold, 3, answer(2, depth, seed), right, right)


@pytest.fixture(scope="module")
def found() -> list[CalibrationExample]:
    rng = np.random.default_rng(5)
    return [
        example(rng.uniform(0.1, 0.4) if good else rng.uniform(0.0, 0.06), good, seed, fold)
        for seed in range(60)
        for good, fold in [(seed % 3 != 0, "ab"[seed % 2])]
    ]


def test_what_is_deeper_gets_a_higher_probability(found: list[CalibrationExample]) -> None:
    fitted = fit_calibration(found)
    low, high = (fitted.probability(answer(2, depth, 99)) for depth in (0.02, 0.4))
    assert low < 0.5 < high


def test_an_example_never_calibrates_itself(found: list[CalibrationExample]) -> None:
    turned = [
        one
        if one.fold == "a"
        else CalibrationExample("b", 3, one.result, not one.genuine, not one.right)
        for one in found
    ]
    honest, fooled = held_out_probabilities(found), held_out_probabilities(turned)
    of_b = np.array([one.fold == "b" for one in found])
    assert (honest[of_b] == fooled[of_b]).all()
    assert (honest[~of_b] != fooled[~of_b]).any()


def test_dubbed_examples_have_the_share_that_the_card_names(
    found: list[CalibrationExample],
) -> None:
    weights = example_weights(found)
    with_audio_of = np.array([not one.genuine for one in found])
    assert weights[with_audio_of].sum() / weights.sum() == pytest.approx(DUBBED_SHARE)


def test_the_default_threshold_is_the_lowest_that_keeps_its_promise(
    found: list[CalibrationExample],
) -> None:
    points = curve_points(found, np.array([0.9 if one.right else 0.55 for one in found]))
    assert default_threshold([point for point in points if point.seconds == 3]) == 0.6
