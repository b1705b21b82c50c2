"""Inputs are laid out as LatentSync's; a negative is what its policy says."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.golden_rules import rule_frames
from trainers.systems.stable_syncnet.pairs import (
    SyncPair,
    draw_negative,
    draw_pair,
    draw_windows,
    even_windows,
    lower_half,
    pixel_input,
    scaled_frames,
    stacked,
    sync_labels,
    window_input,
)

RESULTS = json.loads((ROOT / "tests/golden/g2_stable_syncnet_results.json").read_text())


def drawn(count: int, num_frames: int, **how) -> list[SyncPair]:
    rng = np.random.default_rng(0)
    return [draw_pair(rng, num_frames, **how) for _ in range(count)]


def test_channels_are_laid_out_frame_by_frame_as_in_the_public_code():
    demo = RESULTS["channel_order_demo"]
    frames = torch.arange(96.0).reshape(1, 2, 3, 8, 2)
    out = pixel_input(frames)
    assert list(out.shape) == demo["output_shape"]
    assert out[0, :, 0, 0].tolist() == demo["out_channel_first_values"]


def test_bytes_become_minus_one_to_one():
    frames = rule_frames(16, 256, 256, 8)
    scaled = scaled_frames(frames)
    assert scaled.shape == (16, 3, 256, 256)
    expected = frames.astype(np.float64).transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.abs(scaled.numpy() - expected).max() < 1e-6
    extremes = scaled_frames(np.array([0, 255], np.uint8).reshape(1, 1, 2, 1))
    assert extremes.flatten().tolist() == [-1, 1]
    assert window_input(frames).shape == (48, 128, 256)
    assert torch.equal(window_input(frames), pixel_input(scaled[None])[0])


def test_reversed_and_read_only_frames_are_taken():
    frames = rule_frames(4, 8, 8, 0)
    frames.flags.writeable = False
    assert torch.equal(scaled_frames(frames[::-1]), scaled_frames(frames).flip(0))


def test_the_lower_half_is_rows_from_the_middle_on():
    rows = torch.arange(8.0).reshape(1, 1, 1, 8, 1).expand(1, 2, 3, 8, 4)
    assert lower_half(rows)[0, 0, 0, :, 0].tolist() == [4, 5, 6, 7]


def test_latents_are_stacked_whole():
    assert stacked(torch.zeros(2, 16, 4, 32, 32)).shape == (2, 64, 32, 32)


@pytest.mark.parametrize("num_frames", [32, 33, 40, 47, 48, 250])
def test_default_negatives_share_no_frame_with_the_right_window(num_frames):
    for pair in drawn(2000, num_frames, positive_share=0.0):
        assert not pair.in_sync
        assert abs(pair.visual_start_frame - pair.audio_start_frame) >= 16
        assert min(pair.visual_start_frame, pair.audio_start_frame) >= 0
        assert max(pair.visual_start_frame, pair.audio_start_frame) <= num_frames - 16


def test_compat_negatives_are_any_other_start_and_one_in_eight_overlaps():
    pairs = drawn(20_000, 250, negatives="compat", positive_share=0.0)
    gaps = Counter(abs(pair.visual_start_frame - pair.audio_start_frame) for pair in pairs)
    assert gaps[0] == 0
    assert gaps[1] > 0
    assert sum(gaps[gap] for gap in range(1, 16)) / len(pairs) == pytest.approx(1 / 8, abs=0.01)


def test_all_allowed_negatives_are_alike_probable():
    rng = np.random.default_rng(1)
    drawn_starts = Counter(draw_negative(rng, 20, 60) for _ in range(40_000))
    allowed = [start for start in range(45) if abs(start - 20) >= 16]
    assert sorted(drawn_starts) == allowed
    assert min(drawn_starts.values()) > 0.9 * 40_000 / len(allowed)


def test_half_of_the_pairs_are_in_sync():
    share = np.mean([pair.in_sync for pair in drawn(20_000, 100)])
    assert share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("num_frames", [32, 40, 100])
def test_the_place_of_the_sound_tells_nothing_about_the_label(num_frames):
    pairs = drawn(40_000, num_frames)
    place = {
        label: Counter(pair.audio_start_frame for pair in pairs if pair.in_sync == label)
        for label in (True, False)
    }
    assert set(place[True]) == set(place[False])
    for start, count in place[True].items():
        assert count == pytest.approx(place[False][start], abs=6 * np.sqrt(count))


def test_the_same_generator_gives_the_same_pairs():
    assert drawn(100, 77) == drawn(100, 77)
    assert drawn(100, 77, negatives="compat") != drawn(100, 77)


def test_a_clip_too_short_for_a_negative_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="31 frames, 32 needed"):
        draw_pair(rng, 31)
    with pytest.raises(ValueError, match="40 frames hold no non_overlapping negative"):
        draw_negative(rng, 12, 40)


@pytest.mark.parametrize("num_frames", [32, 33, 47, 200])
@pytest.mark.parametrize("negatives", ["non_overlapping", "compat"])
def test_drawn_windows_hold_a_pair_in_sync_and_one_out_of_sync(num_frames, negatives):
    rng = np.random.default_rng(0)
    for count in (2, 3, 8):
        for _ in range(50):
            starts = draw_windows(rng, num_frames, count, negatives=negatives)
            assert len(starts) == count
            assert 0 <= starts.min() <= starts.max() <= num_frames - 16
            labels = sync_labels(starts, negatives=negatives)
            assert {0, 1} <= set(labels.flatten().tolist())


def test_labels_follow_the_distance_of_the_windows():
    starts = np.array([0, 16, 31, 16])
    apart = sync_labels(starts)
    assert apart.tolist() == [[1, 0, 0, 0], [0, 1, -1, -1], [0, -1, 1, -1], [0, -1, -1, 1]]
    compat = sync_labels(starts, negatives="compat")
    assert compat.tolist() == [[1, 0, 0, 0], [0, 1, 0, -1], [0, 0, 1, 0], [0, -1, 0, 1]]


def test_a_sound_without_a_negative_is_no_positive():
    assert sync_labels(np.array([0, 8, 16])).tolist() == [[1, -1, 0], [-1, -1, -1], [0, -1, 1]]


def test_even_windows_reach_from_the_first_to_the_last():
    assert even_windows(36, 3).tolist() == [0, 10, 20]
    assert even_windows(17, 4).tolist() == [0, 0, 1, 1]
