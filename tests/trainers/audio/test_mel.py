"""The mel spectrogram is LatentSync's (golden G3); our windows begin when their frame does."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT
from trainers.audio.mel import first_sample, mel_spectrogram, mel_window, num_columns

GOLDEN = ROOT / "tests" / "golden"
FACTS = json.loads((GOLDEN / "g3_audio_results.json").read_text())
FLOAT32_ROUNDING = 5e-7
"""Goldens are stored as float32, values up to 4."""


@pytest.fixture(scope="module")
def audio_a() -> NDArray[np.int16]:
    with np.load(GOLDEN / "g1_inputs.npz") as inputs:
        return np.asarray(inputs["audio_int16"])


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[np.generic]]:
    with np.load(GOLDEN / "g3_mel.npz") as arrays:
        return dict(arrays)


def test_whole_spectrograms_are_the_public_codes(audio_a, golden):
    for audio, name in ((audio_a, "mel_a"), (golden["audio_b_int16"], "mel_b")):
        mel = mel_spectrogram(audio)
        assert mel.shape == golden[name].shape
        assert mel.dtype == np.float64
        assert np.abs(mel - golden[name]).max() < FLOAT32_ROUNDING


def test_compat_windows_are_the_public_codes(golden):
    audio, mel = golden["audio_b_int16"], golden["mel_b"]
    window = mel_window(audio, 7, 16, "compat")
    assert np.abs(window - golden["mel_b_crop_start7"]).max() < FLOAT32_ROUNDING
    for start in range(45):
        column = first_sample(start, "compat") // 200
        window = mel_window(audio, start, 16, "compat")
        assert np.abs(window - mel[:, column : column + 52]).max() < FLOAT32_ROUNDING


@pytest.mark.parametrize("num_frames", [16, 25])
def test_compat_windows_begin_at_the_recorded_columns(num_frames):
    table = FACTS["crop"][f"num_frames_{num_frames}"]
    assert num_columns(num_frames) == table["mel_window_length"]
    for start, first, _, length in table["rows"]:
        assert first_sample(start, "compat") == 200 * first
        assert length == num_columns(num_frames)
    assert num_columns(5) == 16


def test_compat_is_early_by_0_to_10_ms_and_exact_by_nothing():
    early = {(first_sample(f) - first_sample(f, "compat")) / 16 for f in range(1000)}
    assert early == {0.0, 2.5, 5.0, 7.5, 10.0}
    assert all(first_sample(f) == 640 * f for f in range(1000))


def test_both_windows_are_the_same_at_every_fifth_frame(golden):
    audio = golden["audio_b_int16"]
    for start in range(45):
        exact, compat = mel_window(audio, start, 16), mel_window(audio, start, 16, "compat")
        assert np.array_equal(exact, compat) == (start % 5 == 0)


def test_sound_moved_by_whole_frames_moves_the_exact_window_and_not_the_compat_one(golden):
    audio = golden["audio_b_int16"]
    for shift in (1, 2, 3, 4):
        late = np.concatenate([np.zeros(640 * shift, np.int16), audio])
        change = {
            kind: np.abs(mel_window(late, 5 + shift, 16, kind) - mel_window(audio, 5, 16, kind))
            for kind in ("exact", "compat")
        }
        assert change["exact"].max() < 1e-12
        assert change["compat"].max() > 0.05


def test_a_click_at_a_frames_start_lies_in_the_middle_of_the_exact_windows_first_column():
    for frame in (20, 21, 22, 23, 24):
        audio = np.zeros(40_000, np.float32)
        audio[640 * frame] = 1.0
        first_columns = mel_window(audio, frame, 16)[:, :3].mean(axis=0)
        assert first_columns.argmax() == 0
        before = mel_window(audio, frame - 5, 16)[:, 15:18].mean(axis=0)
        assert before.argmax() == 1
        assert before[0] == pytest.approx(before[2], abs=0.1)


def test_a_clip_has_a_window_for_every_run_of_frames_and_no_other():
    for num_frames in range(16, 60):
        audio = np.zeros(640 * num_frames, np.int16)
        for kind in ("exact", "compat"):
            assert mel_window(audio, num_frames - 16, 16, kind).shape == (80, 52)
            for start in (num_frames - 15, -1):
                with pytest.raises(ValueError, match=f"no window of 16 frames at frame {start}"):
                    mel_window(audio, start, 16, kind)


def test_silence_is_minus_four_and_int16_equals_float(audio_a):
    assert (mel_spectrogram(np.zeros(3200, np.int16)) == FACTS["silence_mel_value"]).all()
    scaled = (audio_a / 32768).astype(np.float32)
    assert np.array_equal(mel_spectrogram(audio_a), mel_spectrogram(scaled))


def test_an_unknown_kind_of_window_is_refused(audio_a):
    with pytest.raises(KeyError, match="exakt"):
        mel_window(audio_a, 0, 16, "exakt")
