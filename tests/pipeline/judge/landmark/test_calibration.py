import json

import numpy as np
import pytest

from pipeline.judge.curve import JudgeResult, read_curve
from pipeline.judge.landmark.calibration import (
    Calibration,
    CurvePoint,
    consistency,
    facts,
    sharpness,
)
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.weights import load_calibration
from pipeline.params.curation import SelectParams
from tests.pipeline.judge.talking import mesh, opening, speech, talking

TARGET_PRECISION = 0.97


def answer(windows: int, depth: float, noise: float) -> JudgeResult:
    rng = np.random.default_rng(1)
    distances = 1.2 + rng.normal(0, noise, (windows, 31))
    distances[:, 18] -= depth
    return read_curve(distances)


@pytest.fixture(scope="module")
def shipped() -> Calibration:
    return load_calibration()


def test_a_deeper_and_a_longer_minimum_are_more_probably_right(shipped: Calibration) -> None:
    shallow, deep = (answer(100, depth, 0.2) for depth in (0.1, 0.4))
    assert shipped.probability(shallow) < shipped.probability(deep)
    short, long = (answer(windows, 0.15, 0.3) for windows in (40, 240))
    assert shipped.probability(short) < shipped.probability(long)


def test_noise_without_a_minimum_is_improbable(shipped: Calibration) -> None:
    assert shipped.probability(answer(100, 0.0, 0.2)) < 0.1


def test_silence_is_never_in_sync() -> None:
    landmarks, _ = talking(120)
    result = LandmarkJudge.load().score(landmarks, np.zeros(120 * 640, np.int16))
    assert result.probability is not None
    assert result.probability < 0.05
    assert result.drift_frames is None


def test_foreign_speech_is_less_probable_than_its_own() -> None:
    judge = LandmarkJudge.load()
    picture = mesh(opening(200, seed=1))
    own = judge.score(picture, speech(opening(200, seed=1), 1))
    foreign = judge.score(picture, speech(opening(200, seed=2), 2))
    assert own.probability is not None
    assert foreign.probability is not None
    assert own.probability > 0.9 > foreign.probability


def test_a_calibration_survives_its_file(shipped: Calibration) -> None:
    stored = json.loads(json.dumps(shipped.as_json()))
    assert Calibration.from_json(stored) == shipped
    assert isinstance(shipped.points[0], CurvePoint)


def test_the_default_threshold_meets_its_precision_on_held_out_sources(
    shipped: Calibration,
) -> None:
    threshold = SelectParams().landmark_min_probability
    found = {p.seconds: p for p in shipped.points if p.threshold == threshold and p.seconds >= 3}
    assert set(found) == {3, 5, 8}
    assert min(point.precision for point in found.values()) >= TARGET_PRECISION


def test_facts_are_finite_for_a_flat_curve() -> None:
    flat = read_curve(np.ones((20, 31)))
    assert np.isfinite(facts(flat, 15)).all()
    assert sharpness(flat.curve, 15) == pytest.approx(0)
    assert consistency(flat.distances, 15) == 0


def test_consistency_needs_three_blocks() -> None:
    assert consistency(answer(29, 0.4, 0.1).distances, 18) == 0
    assert consistency(answer(30, 0.4, 0.1).distances, 18) > 3
