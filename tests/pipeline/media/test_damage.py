"""A packet that does not decode costs its moment, and which pictures it costs is known."""

from fractions import Fraction
from itertools import islice

import cv2
import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.media.audio import decode_audio
from pipeline.media.decoding import Damage
from pipeline.media.excerpt import frames_between
from pipeline.media.frames import frames_at_25fps, grid_frames
from pipeline.media.probe import probe
from tests.media import Sound, frame_times, remux, textured_shot, write_video

X264 = {"preset": "veryfast", "crf": "4", "g": "40", "bf": "2", "sc_threshold": "0",
        "x264-params": "cpu-independent=1"}  # fmt: skip
"""Packets of hundreds of bytes: one byte in 200 altered hits each, whatever the processor."""
X265 = {"preset": "ultrafast", "crf": "24", "x265-params": "log-level=none:keyint=40:scenecut=0"}
NOISE = "noise=amount='if(between(n,60,64),{},0)'"
SEEN = 1.0
"""Mean difference of a picture, in levels, that a viewer may see."""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Make 120 frames, a key frame every 40, per codec; the sound beeps all the time."""
    folder = tmp_path_factory.mktemp("damage")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4.8 * 16_000) / 16_000)
    frames, sound = textured_shot(120, 3), Sound(tone[None].astype(np.float32))
    made = {}
    for codec, options in (("libx264", X264), ("libx265", X265), ("mpeg4", {"g": "40"})):
        made[codec] = write_video(
            folder / f"{codec}.mp4", frames, frame_times(25, 4.8), sound, codec=codec,
            options=options, time_base=Fraction(1, 25),
        )  # fmt: skip
    made["libvpx-vp9"] = write_video(
        folder / "vp9.mp4", frames, frame_times(25, 4.8), sound, codec="libvpx-vp9",
        options={"deadline": "realtime", "cpu-used": "8", "g": "40", "lag-in-frames": "0"},
    )  # fmt: skip
    return made


def differs(film, whole, seen=SEEN):
    """For each grid frame: is it no picture of the film, and is it marked?

    A picture that stands for another frame or two, as across a hole, is one of the film.
    """
    shown, right = list(grid_frames(film)), [f.astype(int) for f in frames_at_25fps(whole)]
    assert len(shown) == len(right)
    torn = [
        min(np.abs(frame.image - one).mean() for one in right[max(0, number - 2) : number + 1])
        for number, frame in enumerate(shown)
    ]
    marked = [frame.damaged or frame.held > 0 for frame in shown]
    return np.array(torn) > seen, np.array(marked)


@pytest.mark.parametrize("amount", [20, 200])
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "ts"), ("mpeg4", "mp4"), ("mpeg4", "mkv")],
)
def test_noise_marks_every_picture_that_it_spoils(tmp_path, films, codec, amount, suffix):
    whole = remux(films[codec], tmp_path / f"whole.{suffix}")
    film = remux(whole, tmp_path / f"noise.{suffix}", NOISE.format(amount))
    spoilt, marked = differs(film, whole)
    assert spoilt.any()
    assert not (spoilt & ~marked).any()
    assert not marked[:56].any()
    assert not marked[81:].any()


@pytest.mark.parametrize("amount", [20, 200])
@pytest.mark.parametrize("codec", ["libx265", "libvpx"])
def test_noise_that_the_decoder_does_not_notice_is_seen_in_the_picture(
    tmp_path, shared, codec, amount
):
    """A real face: what moves in it has no edges along blocks."""
    whole = tmp_path / "whole.mkv"
    options = {"libx265": X265, "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "800k",
                                           "g": "40"}}  # fmt: skip
    face = islice(frames_at_25fps(shared / "clips" / "sadtalker_aoc.mp4"), 120)
    small = [cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA) for frame in face]
    write_video(whole, small, frame_times(25, 4.8), codec=codec, options=options[codec],
                time_base=Fraction(1, 25))  # fmt: skip
    assert not any(frame.damaged for frame in grid_frames(whole))
    film = remux(whole, tmp_path / "noise.mkv", NOISE.format(amount))
    torn, marked = differs(film, whole, seen=4.0)
    assert torn.any()
    assert (torn & ~marked).sum() <= 2
    assert not marked[:58].any()


@pytest.mark.parametrize("drop", ["eq(n,60)", "between(n,50,65)"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_lost_packets_mark_every_picture_that_refers_to_them(tmp_path, films, codec, suffix, drop):
    whole = remux(films[codec], tmp_path / f"whole.{suffix}")
    film = remux(whole, tmp_path / f"lost.{suffix}", f"noise=drop='{drop}'")
    spoilt, marked = differs(film, whole)
    assert not (spoilt & ~marked).any()
    assert not marked[:46].any()
    assert not marked[81:].any()


def test_pictures_that_hevc_leaves_out_for_lack_of_references_are_damaged(tmp_path, films):
    film = remux(films["libx265"], tmp_path / "lost.mp4", "noise=drop='between(n,50,60)'")
    damage = Damage()
    shown = list(grid_frames(film, damage=damage))
    assert damage.bad_packets > 5
    assert all(frame.damaged for frame in shown[68:79])
    assert not any(frame.damaged for frame in [*shown[:46], *shown[81:]])


@pytest.mark.parametrize("codec", ["libvpx-vp9", "mpeg4"])
def test_lost_packets_of_other_codecs_are_known_by_their_times(tmp_path, films, codec):
    film = remux(films[codec], tmp_path / "lost.mp4", "noise=drop='between(n,50,65)'")
    marked = [frame.damaged for frame in grid_frames(film)]
    assert not any(marked[:50] + marked[80:])
    assert all(marked[66:80])
    assert probe(film).suspect_packets == 1


def test_a_pause_in_a_recording_of_variable_rate_is_no_damage(tmp_path):
    times = [t for t in frame_times(25, 4) if not 1.0 < t < 3.0]
    path = write_video(tmp_path / "x.mp4", textured_shot(len(times), 1), times, options=X264)
    shown = list(grid_frames(path))
    assert not any(frame.damaged for frame in shown)
    assert sum(frame.held > 0 for frame in shown) > 40
    assert probe(path).suspect_packets == 0


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
def test_a_whole_film_has_no_damage(films, codec):
    damage = Damage()
    assert not any(frame.damaged for frame in grid_frames(films[codec], damage=damage))
    assert damage == Damage()
    assert probe(films[codec]).suspect_packets == 0


def test_an_excerpt_of_a_damaged_film_shows_the_same_pictures(tmp_path, films):
    film = remux(films["libx264"], tmp_path / "noise.mp4", NOISE.format(20))
    whole = np.stack(list(frames_at_25fps(film)))
    assert np.array_equal(np.stack(list(frames_between(film, probe(film), 82, 99))), whole[82:99])


def test_a_bad_packet_of_sound_is_silence_at_its_place_and_is_counted(tmp_path, films):
    noise = "noise=amount='if(between(n,30,32),2,0)'"
    film = remux(films["libx264"], tmp_path / "bad.mp4", audio=noise)
    damage = Damage()
    heard = decode_audio(film, 0.0, 120 * 640, damage=damage).astype(float)
    whole = decode_audio(films["libx264"], 0.0, 120 * 640).astype(float)
    assert damage.bad_packets > 0
    loud = np.abs(heard).reshape(-1, 160).max(axis=1) > 3000
    silent = np.flatnonzero(~loud[5:-15]) * 0.01 + 0.05
    assert 0.02 <= np.ptp(silent) <= 0.35
    right = (np.abs(heard - whole) < 400) | (np.abs(heard) < 50)
    assert (~right)[2000:-2000].sum() < 16


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_a_quarter_of_a_file_that_is_lost_on_the_disk_costs_that_quarter(tmp_path, films, codec):
    film, content = tmp_path / "zeros.mp4", bytearray(films[codec].read_bytes())
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    first, last = begin + (end - begin) // 3, begin + (end - begin) * 7 // 12
    content[first:last] = bytes(last - first)
    film.write_bytes(content)
    damage = Damage()
    list(grid_frames(film, damage=damage))
    torn, marked = differs(film, films[codec])
    assert damage.bad_packets > 10
    assert not (torn & ~marked).any()
    assert 25 < marked.sum() < 90


def test_a_film_that_is_nothing_but_damage_fails(tmp_path, films):
    film = remux(films["libx264"], tmp_path / "noise.mp4", "noise=amount=3")
    with pytest.raises(DecodeError, match="not one frame"):
        list(grid_frames(film))


def test_sound_that_is_nothing_but_damage_fails(tmp_path, films):
    film = remux(films["libx264"], tmp_path / "noise.mp4", audio="noise=amount=1")
    with pytest.raises(DecodeError, match="not one packet"):
        decode_audio(film, 0.0, 120 * 640)


def test_no_real_film_has_damage(shared):
    """An AVI with packed B-frames, a variable rate, and one of each codec of the footage."""
    for name in ("syncnet_example_off5.avi", "retalk_face1.mp4", "hamilton_multishot.mp4"):
        path = shared / "clips" / name
        assert probe(path).suspect_packets == 0
        assert not any(frame.damaged for frame in islice(grid_frames(path), 100))
