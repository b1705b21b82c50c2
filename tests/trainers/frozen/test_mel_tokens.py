"""The front end `mel`: one token per frame, heard around its middle, of any length of sound."""

import numpy as np
import pytest
import torch

from trainers.audio.mel import mel_columns, mel_spectrogram
from trainers.frozen.audio_encoders import audio_identity, load_audio_encoder, windows_of
from trainers.frozen.mel_tokens import BANDS, COLUMNS, MelTokens

RATE = 16_000


def noise(seconds, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)


def test_columns_at_any_sample_are_those_of_the_spectrogram():
    sound = noise(1.0)
    centres = np.array([200 * 7, 0, 200 * 80])
    assert np.allclose(
        mel_columns(sound, centres), mel_spectrogram(sound)[:, [7, 0, 80]], atol=1e-9
    )


def test_a_frame_has_one_token_and_hears_150_ms_to_either_side_of_its_middle():
    silent = np.zeros(50 * 640, np.int16)
    (quiet,) = MelTokens().features([silent])
    assert quiet.shape == (50, 1, BANDS * COLUMNS)
    clicked = silent.copy()
    clicked[25 * 640 + 320] = 20_000
    (heard,) = MelTokens().features([clicked])
    changed = torch.nonzero((heard != quiet).any(dim=2)[:, 0])[:, 0].tolist()
    assert changed == list(range(21, 30)), "150 ms and half a Fourier window: 4 frames"
    columns = (heard - quiet)[25, 0].view(BANDS, COLUMNS).abs().sum(dim=0)
    assert int(columns.argmax()) == COLUMNS // 2


def test_tokens_do_not_depend_on_what_comes_much_later():
    sound = noise(3.0)
    (whole,), (cut,) = MelTokens().features([sound]), MelTokens().features([sound[: 40 * 640]])
    assert torch.equal(whole[:35], cut[:35])
    assert not torch.equal(whole[39], cut[39])


def test_long_sound_is_computed_in_parts_with_the_same_values():
    sound = noise(25.0)
    (whole,) = MelTokens().features([sound])
    (late,) = MelTokens().features([sound[240 * 640 :]])
    assert torch.equal(whole[260:], late[20:])


def test_frames_after_the_end_repeat_the_last_token():
    (features,) = MelTokens().features([noise(0.4)])
    windows = MelTokens().windows(features, 5, 16)
    assert windows.shape == (16, 1, 260)
    assert torch.equal(windows[0], features[5])
    assert torch.equal(windows[-1], features[9])


@pytest.mark.parametrize("samples", [0, 1, 639])
def test_less_than_a_frame_of_sound_is_one_token(samples):
    (features,) = MelTokens().features([np.ones(samples, np.int16)])
    assert features.shape == (1, 1, 260)
    assert bool(features.isfinite().all())


def test_it_is_an_encoder_like_the_others_and_no_stand_in():
    encoder = load_audio_encoder("mel")
    assert (encoder.name, encoder.width, encoder.num_layers) == ("mel", 260, 1)
    assert not encoder.is_stand_in
    assert audio_identity("mel").sha256 == {}
    features = encoder.features([noise(1.0)])[0]
    assert torch.equal(windows_of("mel")(features, 3, 16), encoder.windows(features, 3, 16))


def test_speech_is_of_about_unit_deviation():
    (features,) = MelTokens().features([(noise(2.0) * 0.05).astype(np.int16)])
    assert 0.2 < float(features.std()) < 3
