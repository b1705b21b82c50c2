"""What `probe` says about files whose content is known, and about broken ones."""

import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.errors import DecodeError, EmptyFileError, NotMediaError, UnreadableError
from pipeline.media.probe import probe
from tests.media import (
    Sound,
    beep_flash,
    beep_samples,
    frame_times,
    textured_shot,
    variable_times,
    write_sound,
    write_video,
)

HOSTILE = [
    "-i",
    "a:b.mp4",
    "concat:x|y.mp4",
    "pipe:0",
    "%03d.mp4",
    "~.mp4",
    "a?b#c.mp4",
    "new\nline.mp4",
    "q\"uo'te $x.mp4",
    "ünï 漢字.mp4",
    b"not utf-8 \xff.mp4".decode("utf-8", "surrogateescape"),
]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds with picture and sound, the index in front of the data."""
    path = tmp_path_factory.mktemp("probe") / "talk.mp4"
    frames, sound = textured_shot(150, 1), Sound(beep_samples([1.0], 6.0, 44_100, 2), 44_100)
    faststart = {"movflags": "+faststart"}
    return write_video(path, frames, frame_times(25, 6), sound, container_options=faststart)


def test_facts_of_a_plain_file_are_right(talk):
    facts = probe(talk)
    assert (facts.num_frames, facts.duration_s, facts.average_fps) == (150, 6.0, 25.0)
    assert (facts.width, facts.height, facts.rotation_deg) == (160, 120, 0)
    assert (facts.video_codec, facts.pixel_format) == ("h264", "yuv420p")
    assert (facts.audio_codec, facts.audio_rate_hz, facts.audio_channels) == ("aac", 44_100, 2)
    assert (facts.video_start_s, facts.audio_start_s) == (0.0, 0.0)
    assert not facts.variable_fps


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), 30, 50, 60])
def test_constant_rates_are_named_exactly_even_where_timestamps_are_whole_milliseconds(
    tmp_path, fps
):
    path = write_video(tmp_path / "x.mkv", textured_shot(60, 1), frame_times(fps, 60 / fps))
    facts = probe(path)
    assert facts.real_fps == pytest.approx(float(fps), rel=1e-3)
    assert facts.average_fps == pytest.approx(float(fps), rel=1e-3)
    assert not facts.variable_fps
    assert facts.num_frames == round(60 / float(fps) * 25)


def test_dropped_frames_make_the_rate_variable(tmp_path):
    times = variable_times(3.0)
    facts = probe(write_video(tmp_path / "x.mp4", textured_shot(len(times), 1), times))
    assert facts.variable_fps
    assert facts.average_fps == pytest.approx(len(times) / facts.duration_s)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_size_is_that_of_the_turned_picture(tmp_path, rotation):
    path = write_video(tmp_path / "x.mov", textured_shot(3, 1), [0, 0.04, 0.08], rotation_deg=90)
    assert (probe(path).width, probe(path).height, probe(path).rotation_deg) == (120, 160, 90)
    half = write_video(tmp_path / "y.mov", textured_shot(1, 1), [0.0], rotation_deg=rotation)
    assert probe(half).rotation_deg == rotation


@pytest.mark.parametrize("name", HOSTILE)
def test_a_strange_name_is_the_name_of_a_local_file(talk, tmp_path, monkeypatch, name):
    shutil.copy(talk, tmp_path / name)
    assert probe(tmp_path / name) == probe(talk)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)) == probe(talk)


def test_a_track_that_is_absent_has_no_codec(tmp_path):
    silent = write_video(tmp_path / "silent.mp4", textured_shot(5, 1), frame_times(25, 0.2))
    assert (probe(silent).audio_codec, probe(silent).num_frames) == ("", 5)
    sound = Sound(beep_samples([0.2], 1.0, 16_000), codec="pcm_s16le")
    voice = write_sound(tmp_path / "voice.wav", sound)
    assert (probe(voice).video_codec, probe(voice).num_frames) == ("", 0)
    assert probe(voice).audio_codec == "pcm_s16le"


def test_one_frame_lasts_one_frame(tmp_path):
    facts = probe(write_video(tmp_path / "x.mp4", textured_shot(1, 1), [0.0]))
    assert (facts.num_frames, facts.duration_s) == (1, 0.04)


def test_no_bytes_no_media_and_no_access_are_told_apart(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(EmptyFileError):
        probe(tmp_path / "empty.mp4")
    with pytest.raises(UnreadableError):
        probe(tmp_path / "absent.mp4")
    with pytest.raises(UnreadableError):
        probe(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.mp4", "hello world\n" * 99),
        ("x.txt", "hello world\n" * 99),
        ("x.srt", "1\n00:00:01,000 --> 00:00:02,000\nhi\n"),
        ("x.mp4", "ffconcat version 1.0\nfile talk.mp4\n"),
        ("x.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ntalk.ts\n#EXT-X-ENDLIST\n"),
    ],
)
def test_text_subtitles_and_playlists_are_no_media(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(NotMediaError):
        probe(tmp_path / name)


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_data_cut_off_behind_a_leading_index_are_noticed(talk, tmp_path, share):
    whole = talk.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DecodeError, match=r"cut off: \d+ of 150 video packets"):
        probe(tmp_path / "cut.mp4")


def test_a_matroska_file_that_ends_early_is_noticed(tmp_path):
    path = write_video(tmp_path / "x.mkv", textured_shot(150, 1), frame_times(25, 6))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DecodeError, match="cut off"):
        probe(path)


def test_an_mp4_whose_index_is_missing_is_refused(tmp_path):
    path = beep_flash(tmp_path / "x.mp4", seconds=2.0)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises((NotMediaError, DecodeError)):
        probe(path)


def test_messages_do_not_tell_where_the_file_lies(tmp_path):
    (tmp_path / "x.mp4").write_text("no media")
    with pytest.raises(NotMediaError) as caught:
        probe(tmp_path / "x.mp4")
    assert str(tmp_path) not in str(caught.value)
