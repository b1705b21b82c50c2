import numpy as np
import pytest

from pipeline.judge.curve import mean_curve
from pipeline.judge.syncnet.curve import framewise_confidence, read_distances, window_distances
from tests.pipeline.judge.syncnet.golden_syncnet import RESULTS, arrays


@pytest.mark.parametrize("lead", ["+3", "-4"])
def test_known_leads_give_the_published_numbers(lead: str) -> None:
    golden, known = arrays(f"g1_pdist_k{lead}"), RESULTS[f"pdist_case_k{lead}"]
    distances = window_distances(golden["vis"], golden["aud"])
    assert distances[:, ::-1] == pytest.approx(golden["dists"], abs=1e-5)
    result = read_distances(distances)
    assert result.offset_frames == known["av_offset"] == int(lead)
    assert abs(result.offset_subframe - int(lead)) <= 0.5
    assert result.min_distance == pytest.approx(known["min_dist"], abs=1e-5)
    assert result.confidence == pytest.approx(known["confidence"], abs=1e-5)
    assert result.curve[::-1] == pytest.approx(known["mean_dist"], abs=1e-5)
    assert framewise_confidence(result) == pytest.approx(known["framewise"], abs=1e-5)


def test_sound_beyond_the_ends_is_zeros_in_reference_mode_and_nothing_in_masked_mode() -> None:
    rng = np.random.default_rng(0)
    lip, sound = rng.normal(size=(2, 40, 8))
    distances = window_distances(lip, sound)
    reference, masked = read_distances(distances), read_distances(distances, "masked")
    assert reference.mode == "reference"
    assert masked.mode == "masked"
    assert distances[2, 15 + 5] == pytest.approx(np.linalg.norm(lip[2] + 1e-6))
    assert np.isnan(masked.distances[:5, 15 + 5]).all()
    assert np.isnan(masked.distances[-5:, 15 - 5]).all()
    inside = np.isfinite(masked.distances)
    assert inside.sum() == 31 * 40 - 2 * sum(range(16))
    assert (masked.distances[inside] == distances[inside]).all()
    assert (masked.curve == mean_curve(masked.distances)).all()


def test_equal_embeddings_are_as_far_apart_as_the_published_epsilon() -> None:
    same = np.random.default_rng(0).normal(size=(5, 1024))
    assert window_distances(same, same)[:, 15] == pytest.approx(1e-6 * np.sqrt(1024))


def test_of_equal_minima_the_first_published_column_wins() -> None:
    distances = np.ones((5, 31))
    distances[:, [4, 20]] = 0.5
    assert read_distances(distances).offset_frames == 20 - 15
    assert read_distances(np.ones((5, 31))).offset_frames == 15


def test_masked_mode_finds_a_lead_that_the_zeros_hide() -> None:
    rng = np.random.default_rng(0)
    content = 3 + rng.normal(size=(40, 64))
    lip, sound = 0.2 * content[10:30], content[14:34]
    distances = window_distances(lip, sound)
    assert read_distances(distances, "masked").offset_frames == 4
    assert abs(read_distances(distances).offset_frames) == 15


def test_confidence_per_frame_of_few_or_masked_windows() -> None:
    distances = window_distances(*np.random.default_rng(0).normal(size=(2, 3, 8)))
    assert framewise_confidence(read_distances(distances)).shape == (3,)
    distances = np.ones((20, 31))
    distances[:, 15 + 4] = 0.25
    result = read_distances(distances, "masked")
    confidence = framewise_confidence(result)
    assert np.isnan(confidence[:4]).all()
    assert confidence[4 + 4 : -4] == pytest.approx(np.median(result.curve) - 0.25)


def test_long_clips_are_compared_in_blocks() -> None:
    lip, sound = np.random.default_rng(0).normal(size=(2, 600, 4))
    distances = window_distances(lip, sound)
    assert distances[300, 15 - 2] == pytest.approx(np.linalg.norm(lip[300] - sound[302] + 1e-6))
    assert distances[599, 15] == pytest.approx(np.linalg.norm(lip[599] - sound[599] + 1e-6))


def test_nothing_to_judge_is_an_error() -> None:
    with pytest.raises(ValueError, match="no window"):
        read_distances(np.empty((0, 31)))
    with pytest.raises(ValueError, match="known are reference and masked"):
        read_distances(np.ones((5, 31)), "other")
