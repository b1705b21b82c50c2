import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.judge.curve import mean_curve, pair_distances, read_curve


def unit_vectors(count: int, size: int = 16, seed: int = 0) -> NDArray[np.float64]:
    vectors = np.random.default_rng(seed).normal(size=(count, size))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("lead", range(-15, 16))
def test_offset_is_positive_when_audio_is_early(lead: int) -> None:
    content = unit_vectors(160)
    picture, sound = content[30:130], content[30 + lead : 130 + lead]
    result = read_curve(pair_distances(picture, sound))
    assert result.offset_frames == lead
    assert result.min_distance < result.curve[result.offset_frames + 15 - 1 if lead > 0 else -1]


def test_distances_are_euclidean_and_masked_where_the_clip_ends() -> None:
    picture, sound = unit_vectors(40, seed=1), unit_vectors(40, seed=2)
    distances = pair_distances(picture, sound)
    assert distances.shape == (40, 31)
    assert distances[20, 15 + 4] == pytest.approx(np.linalg.norm(picture[20] - sound[16]))
    assert np.isnan(distances[:4, 15 + 4]).all()
    assert np.isfinite(distances[4:, 15 + 4]).all()
    assert np.isnan(distances[-4:, 15 - 4]).all()
    assert np.isfinite(distances[:, 15]).all()


def test_short_clips_without_sync_do_not_favour_far_offsets() -> None:
    found = [
        abs(
            read_curve(
                pair_distances(unit_vectors(30, seed=s), unit_vectors(30, seed=s + 999))
            ).offset_frames
        )
        for s in range(300)
    ]
    assert np.mean(np.asarray(found) > 7) < 0.53  # 16 of the 31 offsets lie beyond 7 frames


def test_a_missing_pair_speaks_for_no_offset() -> None:
    distances = np.full((10, 31), 1.0)
    distances[:5, 30] = np.nan
    assert mean_curve(distances) == pytest.approx(np.ones(31))


def test_subframe_offset_finds_the_vertex_of_a_parabola() -> None:
    offsets = np.arange(-15, 16)
    row = 1 + 0.01 * (offsets - 3.3) ** 2
    result = read_curve(np.tile(row, (5, 1)))
    assert result.offset_frames == 3
    assert result.offset_subframe == pytest.approx(3.3)


def test_a_minimum_at_the_end_has_no_subframe_part() -> None:
    result = read_curve(np.tile(np.linspace(2, 1, 31), (5, 1)))
    assert (result.offset_frames, result.offset_subframe) == (15, 15.0)


def test_confidence_is_median_minus_minimum_and_zero_for_a_flat_curve() -> None:
    flat = read_curve(np.ones((5, 31)))
    assert (flat.offset_frames, flat.confidence) == (0, 0)
    row = np.ones(31)
    row[20] = 0.25
    assert read_curve(np.tile(row, (5, 1))).confidence == pytest.approx(0.75)


def test_a_clip_without_windows_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="no window"):
        read_curve(np.empty((0, 31)))
