import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.quality import speech

SHARED = Path(os.environ.get("LIPFORGE_SHARED") or Path(__file__).parents[3] / "../shared")
SECOND = 16_000
THRESHOLD = 0.5


@pytest.fixture(scope="module")
def detector() -> speech.SpeechDetector:
    return speech.SpeechDetector()


def share(detector, audio) -> float:
    found = detector.probabilities(audio.astype(np.float32))
    return float(speech.speech_windows(found, THRESHOLD).mean())


def beeps() -> np.ndarray:
    time = np.arange(5 * SECOND) / SECOND
    return 0.5 * np.sin(2 * np.pi * 1000 * time) * (time % 1 < 0.1)


def recorded(name: str) -> np.ndarray:
    path = SHARED / "audio" / name
    if not path.exists():
        pytest.skip(f"{path} is absent: real speech is not part of the repository")
    audio, rate = soundfile.read(path, dtype="float32")
    assert rate == SECOND
    mono = audio if audio.ndim == 1 else audio.mean(axis=1)
    return mono[-10 * SECOND :]


def test_silence_noise_and_beeps_are_no_speech(detector):
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * SECOND)
    for audio in (np.zeros(5 * SECOND), noise, beeps()):
        assert share(detector, audio) == 0


@pytest.mark.parametrize("name", ["musetalk_eng.wav", "sadtalker_RD_Radio31_000.wav"])
def test_recorded_speech_is_speech(detector, name):
    assert share(detector, recorded(name)) > 0.7


def test_the_share_follows_the_length_of_the_speech(detector):
    voice = recorded("musetalk_eng.wav")[: 4 * SECOND]
    half = np.concatenate([voice, np.zeros(4 * SECOND)])
    assert share(detector, half) == pytest.approx(share(detector, voice) / 2, abs=0.03)


def test_noise_added_at_a_known_level_comes_out_as_the_snr(detector):
    voice = recorded("musetalk_eng.wav")[: 8 * SECOND]
    spoken = speech.speech_windows(detector.probabilities(voice), THRESHOLD)
    level = np.sqrt(np.mean(voice[: len(spoken) * 512].reshape(-1, 512)[spoken[:250]] ** 2))
    noise = np.random.default_rng(0).normal(0, level / 10, len(voice))
    noisy = (voice + noise).astype(np.float32)
    found = speech.speech_windows(detector.probabilities(noisy), THRESHOLD)
    assert speech.snr_db(noisy, found) == pytest.approx(20, abs=1.5)


def test_without_speech_the_snr_is_zero_and_on_clean_speech_it_is_limited():
    nothing, everything = np.zeros(10, bool), np.ones(10, bool)
    assert speech.snr_db(np.ones(5120, np.float32), nothing) == 0
    rest = np.concatenate([everything, nothing])
    assert speech.snr_db(np.repeat(rest, 512).astype(np.float32), rest) == 60


def test_the_probabilities_do_not_depend_on_the_length_of_a_call(detector, monkeypatch):
    audio = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    whole = detector.probabilities(audio)
    monkeypatch.setattr(speech, "_BLOCK", 7)
    np.testing.assert_allclose(detector.probabilities(audio), whole, atol=1e-6)
    assert len(whole) == 79


def test_the_probabilities_are_those_of_the_package(detector):
    sequence = pytest.importorskip("silero_vad.sequence_vad")
    audio = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    audio += beeps()[:40_000].astype(np.float32)
    theirs = sequence.SileroVADSequence(str(speech.weights_path())).audio_forward(audio)
    np.testing.assert_allclose(detector.probabilities(audio), theirs, atol=1e-6)


def test_a_short_pause_belongs_to_the_speech_and_a_short_burst_does_not():
    probabilities = np.zeros(60, np.float32)
    probabilities[10:30] = 0.9
    probabilities[18:21] = 0.0
    probabilities[24:28] = 0.4
    probabilities[45:50] = 0.9
    found = np.flatnonzero(speech.speech_windows(probabilities, THRESHOLD))
    assert (found[0], found[-1], len(found)) == (10, 29, 20)


def test_the_model_is_the_one_of_the_package_and_is_named_by_its_digest():
    assert len(speech.weights_digest()) == 64
    assert speech.weights_path().parent.parent.name == "silero_vad"


def test_a_frame_has_the_share_of_its_samples_that_lie_in_speech_windows():
    flags = np.zeros(10, bool)
    flags[5:8] = True  # samples 2560 to 4096: frames 4 and 5, and 256 samples of frame 6
    found = speech.speech_by_frame(flags, 9)
    assert found == pytest.approx([0, 0, 0, 0, 1, 1, 0.4, 0, 0])


def test_frames_behind_the_end_of_the_sound_hold_no_speech():
    assert speech.speech_by_frame(np.ones(5, bool), 6) == pytest.approx([1, 1, 1, 1, 0, 0])
