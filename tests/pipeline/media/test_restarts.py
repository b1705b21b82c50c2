"""Recordings that were joined as bytes: one time, picture and sound moved by the same amount."""

from array import array
from fractions import Fraction

import numpy as np
import pytest

from pipeline.errors import ClockRestartsError
from pipeline.media.audio import decode_audio
from pipeline.media.excerpt import frames_between
from pipeline.media.frames import frames_at_25fps, grid_frames
from pipeline.media.packets import TrackPackets
from pipeline.media.probe import probe
from pipeline.media.restarts import TimedTrack, find_restarts
from tests.media import (
    Sound,
    beep_flash,
    beep_onsets_s,
    beep_samples,
    flash_onsets_s,
    remux,
    textured_shot,
    variable_times,
    write_video,
)


def joined(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def seen_and_heard(path):
    facts = probe(path)
    samples = decode_audio(path, facts.video_start_s, facts.num_frames * 640)
    return np.array(flash_onsets_s(frames_at_25fps(path))), np.array(beep_onsets_s(samples))


@pytest.mark.parametrize("starts_s", [(0.0, 0.0), (5000.0, 0.0), (0.0, 9000.0), (0.0, 1.0)])
def test_both_halves_of_joined_recordings_are_in_sync(tmp_path, starts_s):
    parts = [
        beep_flash(tmp_path / f"{n}.ts", seconds=4.0, start_s=start_s, offset_frames=lead)
        for n, (start_s, lead) in enumerate(zip(starts_s, (0.0, 2.0), strict=True))
    ]
    film = joined(tmp_path / "x.ts", *parts)
    seen_s, heard_s = seen_and_heard(film)
    assert probe(film).num_frames == pytest.approx(200, abs=6)
    assert seen_s[2] - seen_s[0] == pytest.approx(4.0, abs=0.25)
    assert seen_s - heard_s == pytest.approx([0, 0, 0.08, 0.08], abs=0.02)
    (restart_s,) = probe(film).clock_restarts_s
    assert restart_s == pytest.approx(4.0, abs=0.25)
    assert f"at {restart_s:.2f} s" in probe(film).remarks[0]


def test_a_matroska_file_appended_to_another_is_joined_too(tmp_path):
    parts = [beep_flash(tmp_path / f"{n}.mkv", seconds=4.0) for n in range(2)]
    film = joined(tmp_path / "x.mkv", *parts)
    seen_s, heard_s = seen_and_heard(film)
    assert len(seen_s) == 4
    assert seen_s - heard_s == pytest.approx(np.zeros(4), abs=0.02)


def test_three_recordings_of_one_clock_each(tmp_path):
    parts = [beep_flash(tmp_path / f"{n}.ts", seconds=4.0, audio_start_s=0.4) for n in range(3)]
    film = joined(tmp_path / "x.ts", *parts)
    seen_s, heard_s = seen_and_heard(film)
    assert len(seen_s) == 6
    assert seen_s - heard_s == pytest.approx(np.zeros(6), abs=0.02)


def test_an_excerpt_behind_a_restart_shows_what_the_whole_film_shows(tmp_path):
    part = beep_flash(tmp_path / "part.mkv", seconds=4.0)
    film = joined(tmp_path / "x.mkv", part, part)
    whole = np.stack(list(frames_at_25fps(film)))
    assert np.array_equal(
        np.stack(list(frames_between(film, probe(film), 120, 140))), whole[120:140]
    )


@pytest.mark.parametrize("hole_s", [2.0, 601.0])
def test_a_hole_is_held_and_both_sides_of_it_are_in_sync(tmp_path, hole_s):
    first = beep_flash(tmp_path / "1.ts", seconds=4.0)
    second = beep_flash(tmp_path / "2.ts", seconds=4.0, start_s=4.0 + hole_s, offset_frames=2.0)
    film = joined(tmp_path / "x.ts", first, second)
    seen_s, heard_s = seen_and_heard(film)
    assert probe(film).num_frames == pytest.approx(25 * (8 + hole_s), abs=3)
    assert seen_s - heard_s == pytest.approx([0, 0, 0.08, 0.08], abs=0.02)
    assert seen_s[2] == pytest.approx(5.0 + hole_s, abs=0.1)
    held = [frame.held for frame in grid_frames(film)]
    assert np.count_nonzero(held) == pytest.approx(25 * hole_s, abs=4)


def test_every_recording_begins_on_the_grid():
    """Else its pictures would be shown up to half a frame from where its sound is."""
    sound = track((0, 4.013), (0, 4), step=0.01, places=range(1, 1604, 2))
    shifts = find_restarts({0: track((0, 4), (0, 4), places=range(0, 1600, 8)), 1: sound}, 0)[1]
    assert shifts[0].ticks[1] == shifts[1].ticks[1] == 4040


def test_irregular_times_are_no_restart(tmp_path):
    times = variable_times(4.0)
    film = write_video(tmp_path / "x.ts", textured_shot(len(times), 1), times)
    assert probe(film).clock_restarts_s == []


def track(*runs, step=0.04, places=None):
    """Packets of `step` seconds in runs of [begin, end) s."""
    times = np.concatenate([np.arange(begin, end, step) for begin, end in runs])
    ticks = array("q", np.rint(times * 1000).astype(int).tolist())
    order = array("q", places if places is not None else range(0, 2 * len(ticks), 2))
    lasts = array("q", [round(1000 * step)] * len(ticks))
    packets = TrackPackets(pts=ticks, dts=ticks, durations=lasts, places=order)
    return TimedTrack(packets, Fraction(1, 1000))


def test_picture_and_sound_that_do_not_restart_together_are_refused():
    with pytest.raises(ClockRestartsError, match=r"from 3\.96 s to 0\.00 s"):
        find_restarts({0: track((0, 4), (0, 4)), 1: track((0, 8))})


def test_a_restart_behind_the_end_of_the_sound_needs_none_of_it():
    sound = track((0, 4), places=range(1, 200, 2))
    restarts, shifts = find_restarts({0: track((0, 4), (0, 4)), 1: sound})
    assert [one.at_s for one in restarts] == [4.0]
    assert [shifts[0].of(n) for n in (0, 99, 100, 199)] == [0, 0, 4000, 4000]


def test_a_picture_that_stands_for_hours_with_sound_is_no_restart():
    picture = track((0, 4), (8000, 8004))
    sound = track((0, 8004), step=4.0)
    assert find_restarts({0: picture, 1: sound})[0] == []


def test_a_few_wrong_times_are_no_restart():
    times = [(0, 4), (1, 1.2), (4.2, 8)]
    assert find_restarts({0: track(*times), 1: track((0, 8))})[0] == []


@pytest.mark.parametrize("cut_s", [0.5, 1.5, 1.52])
def test_an_edit_list_between_two_frames_keeps_the_sync(tmp_path, cut_s):
    whole = beep_flash(tmp_path / "whole.mp4", seconds=6.0)
    film = remux(whole, tmp_path / "x.mp4", shift_s=-cut_s)
    facts = probe(film)
    samples = decode_audio(film, facts.video_start_s, facts.num_frames * 640)
    seen_s = np.array(flash_onsets_s(frames_at_25fps(film)))
    heard_s = np.array(beep_onsets_s(samples))
    assert 0 <= facts.video_start_s < 0.04
    assert len(seen_s) > 0
    nearest = heard_s[np.abs(heard_s[None] - seen_s[:, None]).argmin(axis=1)]
    assert seen_s - nearest == pytest.approx(np.zeros(len(seen_s)), abs=0.008)


def test_the_excerpt_of_a_film_with_an_edit_list_is_the_same(tmp_path):
    whole = write_video(tmp_path / "whole.mp4", textured_shot(100, 1), np.arange(100) / 25,
                        Sound(beep_samples([1.0], 4.0, 16_000)), options={"g": "20"})  # fmt: skip
    film = remux(whole, tmp_path / "x.mp4", shift_s=-0.49)
    shown = np.stack(list(frames_at_25fps(film)))
    assert np.array_equal(np.stack(list(frames_between(film, probe(film), 40, 60))), shown[40:60])
