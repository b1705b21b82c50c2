import numpy as np
import pytest

from tests.pipeline.judge.talking import talking
from trainers.systems.landmark_judge.cross_validation import with_audio_of
from trainers.systems.landmark_judge.lip_audio_correlation import (
    LAG_FRAMES,
    CorrelationPeak,
    chance_rate,
    correlation_by_file,
    correlation_peak,
)
from trainers.systems.landmark_judge.speech_clips import SpeechClip, in_sync, speech_clip


def clip(seed: int, frames: int = 250, lead: int = 0, name: str = "") -> SpeechClip:
    name = name or f"vasa1_{seed}"
    return speech_clip(f"{name}/{seed}", name, "vasa1", *talking(frames, lead, seed))


@pytest.mark.parametrize("lead", [-7, 0, 4])
def test_the_correlation_finds_the_lead_of_the_sound(lead: int) -> None:
    found = correlation_peak([clip(1, lead=lead)])
    assert found.clear
    assert found.offset_frames == pytest.approx(lead + LAG_FRAMES, abs=0.75)


def test_the_clips_of_one_file_testify_together() -> None:
    parts = [clip(seed, 100, 3, "vasa1_x") for seed in range(4)]
    found = correlation_by_file([*parts, clip(9)])
    assert set(found) == {"vasa1_x", "vasa1_9"}
    assert found["vasa1_x"].offset_frames == pytest.approx(3, abs=1)


def test_foreign_sound_stands_out_less_than_its_own() -> None:
    own, foreign = correlation_peak([clip(1)]), correlation_peak([with_audio_of(clip(1), clip(2))])
    assert foreign.prominence < own.prominence / 2


def test_foreign_sound_is_clear_less_often_than_it_is_audible() -> None:
    clips = [clip(seed, 120) for seed in range(6)]
    assert 0 <= chance_rate(clips, 0.1) <= chance_rate(clips, 0.05) <= 1
    assert chance_rate(clips, -1.0) > chance_rate(clips, 0.3)


def test_silence_is_not_clear() -> None:
    one = clip(1)
    assert not correlation_peak(
        [SpeechClip("a", "a", "rest", one.shape, np.zeros_like(one.mel))]
    ).clear


def test_a_maximum_far_out_is_not_believed() -> None:
    assert CorrelationPeak(9.0, 0.2).clear
    assert not CorrelationPeak(12.0, 0.2).clear


def test_a_faint_maximum_counts_only_where_another_says_the_same() -> None:
    faint = CorrelationPeak(-2.0, 0.07)
    assert not faint.clear
    assert faint.agrees_with(-2.8)
    assert not faint.agrees_with(0.0)


@pytest.mark.parametrize("quarters", [-6, -1, 0, 3, 10])
def test_a_label_is_taken_out_to_a_quarter_of_a_frame(quarters: int) -> None:
    frames = np.arange(120, dtype=np.float32)[:, None] * np.ones(121, np.float32)
    steps = np.arange(480, dtype=np.float32)[:, None] * np.ones(40, np.float32)
    fixed = in_sync(SpeechClip("a", "a", "rest", frames, steps, quarters / 4))
    assert len(fixed.mel) == 4 * fixed.num_frames
    assert fixed.mel[0, 0] == 4 * fixed.shape[0, 0] - quarters
    assert fixed.num_frames >= 120 - abs(quarters) / 4 - 1
