"""How the channels of a track become one."""

import numpy as np
import pytest

from pipeline.media.audio import decode_audio
from pipeline.media.mix import channel_weights
from tests.media import Sound, frame_times, textured_shot, write_video

RATE = 16_000
TIME = np.arange(4 * RATE) / RATE
SPEECH = 0.3 * np.sin(2 * np.pi * 400 * TIME) * (np.sin(2 * np.pi * TIME) > 0)
MUSIC = 0.3 * np.sin(2 * np.pi * 1100 * TIME)
SILENCE = np.zeros_like(TIME)


def heard(tmp_path, *channels, codec="pcm_s16le"):
    sound = Sound(np.array(channels, np.float32), RATE, codec=codec)
    path = write_video(tmp_path / "x.mkv", textured_shot(10, 1), frame_times(2.5, 4), sound)
    return decode_audio(path, 0.0, 4 * RATE) / 32768


def share(samples, part):
    """Amplitude with which a part is in the samples."""
    return float(samples @ part / (part @ part))


@pytest.mark.parametrize(
    ("rear", "codec"), [(2, "pcm_s16le"), (2, "aac"), (2, "flac"), (4, "flac")]
)
def test_speech_in_the_centre_is_taken_alone(tmp_path, rear, codec):
    samples = heard(tmp_path, MUSIC, MUSIC, SPEECH, SILENCE, *[MUSIC] * rear, codec=codec)
    assert share(samples, SPEECH) == pytest.approx(1.0, abs=0.05)
    assert abs(share(samples, MUSIC)) < 0.05


def test_without_a_sound_in_the_centre_the_front_weighs_most(tmp_path):
    samples = heard(tmp_path, SPEECH, SPEECH, SILENCE, MUSIC, MUSIC, MUSIC)
    assert share(samples, SPEECH) == pytest.approx(2 / (3 + 2 * 0.7071), abs=0.01)
    assert share(samples, MUSIC) == pytest.approx(2 * 0.7071 / (3 + 2 * 0.7071), abs=0.01)


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_channels_that_cancel_each_other_give_one_of_them(tmp_path, codec):
    samples = heard(tmp_path, SPEECH, -SPEECH, codec=codec)
    assert abs(share(samples, SPEECH)) == pytest.approx(1.0, abs=0.05)


def test_channels_that_cancel_each_other_for_a_part_of_the_film_give_one_of_them(tmp_path):
    late = np.where(TIME < 2, 1, -1)
    samples = heard(tmp_path, SPEECH, late * SPEECH)
    assert abs(share(samples[2 * RATE :], SPEECH[2 * RATE :])) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("left", "right"), [(SPEECH, SPEECH), (SPEECH, SILENCE), (SPEECH, MUSIC), (MUSIC, SPEECH)]
)
def test_other_stereo_is_averaged(tmp_path, left, right):
    wanted = (left + right) / 2
    assert np.abs(heard(tmp_path, left, right) - wanted).max() < 1e-3


def test_wide_stereo_is_no_cancellation():
    products = np.array([[[1.0, -0.6], [-0.6, 1.0]]])
    assert channel_weights(["FL", "FR"], products).tolist() == [0.5, 0.5]
    products = np.array([[[1.0, -0.95], [-0.95, 1.1]]])
    assert channel_weights(["FL", "FR"], products).tolist() == [0.0, 1.0]
