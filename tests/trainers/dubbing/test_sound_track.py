"""The output's sound has the samples of the given sound."""

import av
import numpy as np
import pytest
import soundfile

from pipeline.errors import DecodeError
from pipeline.media.encode import write_clip
from tests.media import write_sound
from tests.trainers.dubbing.scene import film, tone
from trainers.dubbing.muxing import mux
from trainers.dubbing.sound_track import COPIED, SoundTrack, read_sound, same_samples


def samples_of(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        planes = [
            f.to_ndarray()
            if f.format.is_planar
            else f.to_ndarray().reshape(-1, f.layout.nb_channels).T
            for f in frames
        ]
        return frames[0].time, np.concatenate(planes, axis=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "part.mp4"
    write_clip(path, [np.zeros((16, 16, 3), np.uint8)] * 30, 20)
    return path


def joined(clip, source, out, samples=10**9, copy=None):
    facts = read_sound(source)
    track = SoundTrack(source, facts, samples, facts.codec in COPIED if copy is None else copy)
    mux(out, out.suffix, [(0, clip), (30, clip)], track, "{}")
    return track


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.m4a", "aac"), ("a.mp3", "libmp3lame"), ("a.opus", "libopus"), ("a.ac3", "ac3")],
)
def test_lossy_sound_is_copied_and_decodes_to_the_same_samples(tmp_path, clip, name, codec):
    rate = 48_000 if codec == "libopus" else 44_100
    source, out = write_sound(tmp_path / name, tone(60, rate, codec)), tmp_path / "out.mp4"
    joined(clip, source, out)
    given, (start_s, made) = samples_of(source)[1], samples_of(out)
    assert abs(start_s) < 1e-3
    assert np.array_equal(made[:, : given.shape[1]], given)
    assert same_samples(source, out, given.shape[1])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("subtype", "exact"), [("PCM_U8", True), ("PCM_16", True), ("PCM_24", True), ("FLOAT", False)]
)
def test_other_sound_becomes_flac_with_the_same_samples(tmp_path, clip, subtype, exact, suffix):
    source, out = tmp_path / "a.wav", tmp_path / f"out{suffix}"
    given = np.random.default_rng(0).uniform(-1, 1, (48_001, 2))
    soundfile.write(source, given, 48_000, subtype)
    track = joined(clip, source, out)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == "flac"
    made = samples_of(out)[1]
    stored = soundfile.read(source, dtype="int32")[0].T if exact else None
    assert track.exact is exact
    if stored is not None:
        assert np.array_equal(made.astype(np.int64) << (32 - 8 * made.itemsize), stored)
    assert made.shape == (2, 48_001)


def test_a_float_sound_of_24_bits_or_less_is_exact_too(tmp_path, clip):
    whole = np.random.default_rng(0).integers(-(2**23), 2**23, (5000, 1)) / 2**23
    soundfile.write(tmp_path / "a.wav", whole, 16_000, "FLOAT")
    assert joined(clip, tmp_path / "a.wav", tmp_path / "out.mp4").exact
    made = samples_of(tmp_path / "out.mp4")[1]
    assert np.array_equal(made[0] / 2**31, whole[:, 0])


def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path, clip):
    given = np.zeros((5000, 2))
    given[10], given[4000, 1] = (1.5, -2.0), 1e30
    given[20], given[30] = (-1.0, 0.5), (2**-23, -(2**-23))
    soundfile.write(tmp_path / "a.wav", given, 16_000, "FLOAT")
    track = joined(clip, tmp_path / "a.wav", tmp_path / "out.mp4")
    assert (track.clipped, track.exact) == (3, True)
    made = samples_of(tmp_path / "out.mp4")[1].T
    most = (2**23 - 1) / 2**23
    assert np.array_equal(made / 2**31, np.clip(given, -1, most))
    assert joined(clip, tmp_path / "a.wav", tmp_path / "cut.mp4", samples=4000).clipped == 2


def test_full_scale_itself_is_rounded_and_not_clipped(tmp_path, clip):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, 1.0, -1.0, 0.25]), 16_000, "FLOAT")
    track = joined(clip, tmp_path / "a.wav", tmp_path / "out.mp4")
    assert (track.clipped, track.exact) == (0, False)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused_with_the_time_of_the_first(tmp_path, broken):
    given = np.zeros((48_000, 2))
    given[30_000, 1], given[40_000, 0] = broken, np.nan
    soundfile.write(tmp_path / "a.wav", given, 16_000, "FLOAT")
    with pytest.raises(DecodeError, match=r"NaN or infinite at 1\.875 s; cut it out"):
        read_sound(tmp_path / "a.wav")


def test_flac_is_cut_to_the_sample_and_copies_to_the_block(tmp_path, clip):
    soundfile.write(tmp_path / "a.wav", np.zeros(48_000), 16_000, "PCM_16")
    joined(clip, tmp_path / "a.wav", tmp_path / "a.mp4", samples=12_345)
    assert samples_of(tmp_path / "a.mp4")[1].shape[1] == 12_345
    source = write_sound(tmp_path / "b.m4a", tone(60))
    joined(clip, source, tmp_path / "b.mp4", samples=12_345)
    assert same_samples(source, tmp_path / "b.mp4", 12_345)
    assert samples_of(tmp_path / "b.mp4")[1].shape[1] < 12_345 + 2 * 1024


def test_other_samples_or_another_beginning_are_noticed(tmp_path, clip):
    source = write_sound(tmp_path / "a.m4a", tone(60))
    other = write_sound(tmp_path / "b.m4a", tone(60, channels=1))
    joined(clip, other, tmp_path / "out.mp4")
    assert not same_samples(source, tmp_path / "out.mp4", 44_100)
    joined(clip, source, tmp_path / "out.mp4")
    assert not same_samples(source, tmp_path / "out.mp4", 44_100), "it goes on for longer"
    joined(clip, source, tmp_path / "out.mkv")  # Matroska loses the priming of m4a
    assert not same_samples(source, tmp_path / "out.mkv", 44_100)


def test_a_file_without_sound_is_refused(tmp_path):
    with pytest.raises(DecodeError, match="no audio stream"):
        read_sound(film(tmp_path / "v.mp4", 3))


def test_a_sound_without_a_sample_is_refused_as_empty(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000, "PCM_16")
    with pytest.raises(DecodeError, match="its sound is empty"):
        read_sound(tmp_path / "a.wav")


def test_more_channels_than_flac_holds_are_refused_before_any_work(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 9)), 16_000, "PCM_16")
    with pytest.raises(DecodeError, match=r"9 channels.*mix it down"):
        read_sound(tmp_path / "a.wav")


def test_the_same_parts_give_the_same_bytes(tmp_path, clip):
    source = write_sound(tmp_path / "a.m4a", tone(60))
    for suffix in (".mp4", ".mkv"):
        made = [tmp_path / f"{name}{suffix}" for name in "xy"]
        for out in made:
            joined(clip, source, out)
        assert made[0].read_bytes() == made[1].read_bytes()
