"""Sound stays where it was against the picture, whatever the container does."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.media.audio import decode_audio
from pipeline.media.flac import read_flac, write_flac
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from pipeline.media.samples import as_int16
from tests.media import (
    Sound,
    beep_flash,
    beep_onsets_s,
    beep_samples,
    frame_times,
    measure_av_error_s,
    textured_shot,
    variable_times,
    write_sound,
    write_video,
)

CASES = {
    "aac in mp4": ("x.mp4", {}),
    "44.1 kHz stereo": ("x.mp4", {"rate_hz": 44_100, "channels": 2}),
    "48 kHz, six channels": ("x.mp4", {"rate_hz": 48_000, "channels": 6}),
    "pcm in matroska": ("x.mkv", {"rate_hz": 44_100, "audio_codec": "pcm_s16le"}),
    "flac in matroska": ("x.mkv", {"rate_hz": 48_000, "audio_codec": "flac"}),
    "opus in webm": ("x.webm", {"rate_hz": 48_000, "audio_codec": "libopus", "codec": "libvpx"}),
    "mp2 in a program stream": (
        "x.mpg",
        {"rate_hz": 44_100, "audio_codec": "mp2", "codec": "mpeg2video"},
    ),
    "transport stream from 3.3 s": ("x.ts", {"rate_hz": 48_000, "start_s": 3.3}),
    "matroska from 0.7 s": ("x.mkv", {"start_s": 0.7}),
    "edit list": ("x.mp4", {"start_s": 0.3}),
    "audio 0.5 s late": ("x.mp4", {"audio_start_s": 0.5}),
    "audio 0.37 s late, 44.1 kHz": ("x.mkv", {"audio_start_s": 0.37, "rate_hz": 44_100}),
    "30 fps": ("x.mp4", {"fps": 30, "rate_hz": 44_100}),
    "60 fps": ("x.mp4", {"fps": 60}),
    "audio 15 frames early": ("x.mp4", {"offset_frames": 15}),
    "audio 15 frames late": ("x.mp4", {"offset_frames": -15, "rate_hz": 44_100}),
}


def decoded(path, out=None):
    facts = probe(path)
    return decode_audio(path, facts.video_start_s, facts.num_frames * 640, out)


@pytest.mark.parametrize("case", CASES)
def test_sound_keeps_its_place_against_the_picture_within_a_millisecond(tmp_path, case):
    name, options = CASES[case]
    path = beep_flash(tmp_path / name, **options)
    wanted_s = options.get("offset_frames", 0) / 25
    error_s = measure_av_error_s(frames_at_25fps(path), decoded(path)) - wanted_s
    assert abs(error_s) < 0.001


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), None])
def test_sound_keeps_its_place_at_odd_rates_within_half_a_frame(tmp_path, fps):
    times = variable_times(6.0) if fps is None else frame_times(fps, 6.0)
    path = beep_flash(tmp_path / "x.mp4", times_s=times, rate_hz=48_000)
    assert abs(measure_av_error_s(frames_at_25fps(path), decoded(path))) < 0.02


def test_sound_that_begins_before_the_picture_is_cut(tmp_path):
    sound = Sound(beep_samples([1.0], 3.0, 44_100), 44_100, start_s=0.0)
    path = write_video(tmp_path / "x.mkv", textured_shot(50, 1), frame_times(25, 2), sound,
                       start_s=0.4)  # fmt: skip
    assert probe(path).video_start_s == pytest.approx(0.4)
    assert beep_onsets_s(decoded(path)) == [pytest.approx(0.6, abs=1e-3)]


def test_a_hole_in_the_timestamps_becomes_silence(tmp_path):
    sound = Sound(beep_samples([0.5, 2.1], 4.0, 44_100), 44_100, codec="pcm_s16le",
                  gap_s=(1.0, 2.0))  # fmt: skip
    path = write_video(tmp_path / "x.mkv", textured_shot(100, 1), frame_times(25, 4), sound)
    audio = decoded(path)
    assert beep_onsets_s(audio) == [pytest.approx(0.5, abs=1e-3), pytest.approx(2.1, abs=1e-3)]
    assert not audio[18_000:31_000].any()


def test_a_small_hole_is_made_up_for_within_a_quarter_of_a_second(tmp_path):
    sound = Sound(beep_samples([0.5, 2.5], 4.0, 48_000), 48_000, codec="pcm_s16le",
                  gap_s=(1.0, 1.02))  # fmt: skip
    path = write_video(tmp_path / "x.mkv", textured_shot(100, 1), frame_times(25, 4), sound)
    assert beep_onsets_s(decoded(path))[1] == pytest.approx(2.5, abs=1e-3)


def test_sound_is_exactly_as_long_as_the_picture(tmp_path):
    frames, times = textured_shot(50, 1), frame_times(25, 2)
    for seconds in (1.0, 3.0):
        sound = Sound(beep_samples([0.5], seconds, 16_000))
        audio = decoded(write_video(tmp_path / f"{seconds}.mp4", frames, times, sound))
        assert audio.shape == (50 * 640,)
        assert audio.dtype == np.int16


def test_the_last_samples_come_out_of_the_resampler_too(tmp_path):
    tone = 0.5 * np.sin(np.arange(44_100) * 2 * np.pi * 440 / 44_100, dtype=np.float32)
    path = write_sound(tmp_path / "x.wav", Sound(tone[None], 44_100, codec="pcm_s16le"))
    audio = decode_audio(path, 0.0, 16_000)
    expected = 16_384 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000)
    assert np.abs(audio - expected)[50:-50].max() < 60
    assert audio[-20:].all()


def test_16_khz_mono_pcm_comes_out_bit_for_bit(tmp_path):
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 16_000)).astype(np.float32)
    path = write_sound(tmp_path / "x.wav", Sound(noise, codec="pcm_s16le"))
    stored = np.rint(noise[0].astype(np.float64) * 32767)
    assert np.array_equal(decode_audio(path, 0.0, 16_000), stored)


def test_speech_in_one_channel_survives_and_two_loud_channels_do_not_clip(tmp_path):
    beep = beep_samples([0.2], 1.0, 16_000, 2)
    left = beep * np.array([[1], [0]], np.float32)
    one = decode_audio(
        write_sound(tmp_path / "one.wav", Sound(left, codec="pcm_s16le")), 0.0, 16_000
    )
    two = decode_audio(
        write_sound(tmp_path / "two.wav", Sound(2 * beep, codec="pcm_s16le")), 0.0, 16_000
    )
    assert one.max() == pytest.approx(0.25 * 32767, abs=2)
    assert two.max() == 32767


def test_samples_beyond_full_scale_are_clipped_not_wrapped():
    loud = np.array([-2.0, -1.0, 0.5, 1.0, 2.0], np.float32)
    assert as_int16(loud).tolist() == [-32768, -32768, 16384, 32767, 32767]


def test_long_sound_is_kept_on_disk_not_in_memory(tmp_path):
    path = write_sound(tmp_path / "x.flac", Sound(beep_samples([9.0], 300, 16_000), codec="flac"))
    tracemalloc.start()
    audio = decode_audio(path, 0.0, 300 * 16_000, tmp_path / "samples")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "samples").stat().st_size == 2 * 300 * 16_000
    assert peak < 1e6, "9.6 MB of samples were held in memory"
    assert np.array_equal(audio, decode_audio(path, 0.0, 300 * 16_000))


def test_a_file_without_sound_is_an_error(tmp_path):
    path = write_video(tmp_path / "x.mp4", textured_shot(5, 1), frame_times(25, 0.2))
    with pytest.raises(DecodeError, match="no audio stream"):
        decoded(path)


def test_flac_returns_the_samples_and_writes_the_same_bytes_twice(tmp_path):
    samples = np.random.default_rng(1).integers(-32768, 32768, 20_000).astype(np.int16)
    write_flac(tmp_path / "a.flac", samples, 16_000)
    write_flac(tmp_path / "b.flac", samples, 16_000)
    data = (tmp_path / "a.flac").read_bytes()
    assert data == (tmp_path / "b.flac").read_bytes()
    for source in (data, tmp_path / "a.flac"):
        assert np.array_equal(read_flac(source) * 32768, samples)


def test_a_broken_flac_is_an_error():
    with pytest.raises(DecodeError):
        read_flac(b"no flac at all")
