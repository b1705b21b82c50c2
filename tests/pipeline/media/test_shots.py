"""Hard cuts at known frames are found to the frame, at any frame rate."""

from fractions import Fraction

import numpy as np
import pytest

from pipeline.media.frames import frames_at_25fps
from pipeline.media.shots import find_shots
from pipeline.params.curation import ScenesParams
from tests.media import frame_times, hard_cuts, textured_shot, variable_times, write_video

RATES = {
    "23.976": frame_times(Fraction(24000, 1001), 8),
    "25": frame_times(25, 8),
    "29.97": frame_times(Fraction(30000, 1001), 8),
    "30": frame_times(30, 8),
    "50": frame_times(50, 8),
    "60": frame_times(60, 8),
    "variable": variable_times(8),
}
SHARES = (0.13, 0.3, 0.42, 0.6, 0.8)


def found(path, **params):
    return find_shots(path, ScenesParams(**params))


def still_shot(frames, seed):
    """A coloured picture in which only a small patch moves."""
    picture = textured_shot(1, seed)[0]
    shot = [picture.copy() for _ in range(frames)]
    for k, frame in enumerate(shot):
        frame[40:60, 40 + k % 40 :][:, :20] = 128
    return shot


def grid_starts(times, cuts):
    """First grid frame of each shot, by searching all source frames for the nearest."""
    offsets = np.round(np.array(times) * 90_000).astype(int)
    shown = [int(np.abs(offsets - 3600 * k).argmin()) for k in range(2 * 25 * 8)]
    return [next(k for k, source in enumerate(shown) if source >= cut) for cut in cuts]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("rate", RATES)
def test_cuts_are_exact_to_the_frame(tmp_path, rate, suffix):
    times = RATES[rate]
    cuts = [int(len(times) * share) for share in SHARES]
    path = hard_cuts(tmp_path / f"x.{suffix}", cuts, times)
    shots = found(path)
    if suffix == "mp4":  # mkv rounds times to milliseconds
        assert [start for start, _ in shots] == [0, *grid_starts(times, cuts)]
    pictures = np.stack(list(frames_at_25fps(path))).astype(float)
    change = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2, 3))
    biggest = sorted(np.argsort(change)[-len(cuts) :] + 1)
    assert [start for start, _ in shots[1:]] == biggest, "where the pictures really change"


def test_shots_cover_all_frames_once(tmp_path):
    shots = found(hard_cuts(tmp_path / "x.mp4", [40, 90, 147], frame_times(25, 6)))
    assert shots == [(0, 40), (40, 90), (90, 147), (147, 150)]


@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_cut_just_before_the_end_is_found(tmp_path, left):
    path = hard_cuts(tmp_path / "x.mp4", [40, 150 - left], frame_times(25, 6))
    assert found(path) == [(0, 40), (40, 150 - left), (150 - left, 150)]


def test_every_cut_ends_a_shot_however_short_the_shot(tmp_path):
    path = hard_cuts(tmp_path / "x.mp4", [10, 60, 72, 120, 122], frame_times(25, 6))
    assert found(path) == [(0, 10), (10, 60), (60, 72), (72, 120), (120, 122), (122, 150)]


@pytest.mark.parametrize("length", [1, 2, 12])
def test_an_insert_of_another_picture_is_two_cuts(tmp_path, length):
    frames = textured_shot(150, 3)
    frames[50 : 50 + length] = textured_shot(length, 8)
    path = write_video(tmp_path / "x.mp4", frames, frame_times(25, 6))
    assert found(path) == [(0, 50), (50, 50 + length), (50 + length, 150)]


def test_a_transport_stream_is_cut_at_the_same_frames(tmp_path):
    path = hard_cuts(tmp_path / "x.ts", [50, 100], frame_times(25, 6))
    assert found(path) == [(0, 50), (50, 100), (100, 150)]


@pytest.mark.parametrize("level", [0, 240])
@pytest.mark.parametrize("length", [1, 3, 10, 25])
def test_a_flash_is_no_cut(tmp_path, length, level):
    frames = still_shot(150, 3)
    for start in (0, 50, 110):
        for k in range(start, start + length):
            frames[k] = np.full_like(frames[k], level)
    assert found(write_video(tmp_path / "x.mp4", frames, frame_times(25, 6))) == [(0, 150)]


@pytest.mark.parametrize("length", [1, 4, 10])
def test_a_camera_flash_that_decays_is_no_cut(tmp_path, length):
    frames = still_shot(150, 3)
    for k in range(length):
        lit = frames[50 + k].astype(float) + 180 * (1 - k / length)
        frames[50 + k] = lit.clip(0, 255).astype(np.uint8)
    assert found(write_video(tmp_path / "x.mp4", frames, frame_times(25, 6))) == [(0, 150)]


@pytest.mark.parametrize("length", [5, 8, 12, 25, 50])
def test_a_dissolve_ends_a_shot_and_is_in_none(tmp_path, length):
    share = np.clip((np.arange(160) - 59) / (length + 1), 0, 1)[:, None, None, None]
    mixed = np.array(still_shot(160, 1)) * (1 - share) + np.array(still_shot(160, 8)) * share
    path = write_video(tmp_path / "x.mp4", mixed.round().astype(np.uint8), frame_times(25, 6.4))
    (begin, end), (start, after) = found(path)
    assert (begin, after) == (0, 160)
    assert 60 - 9 <= end <= 60 + 0.05 * length
    assert 60 + 0.95 * length <= start <= 60 + length + 9


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("length", [6, 25, 50])
def test_a_fade_through_an_even_picture_is_in_no_shot(tmp_path, length, level):
    ramp = np.concatenate([np.arange(length, 0, -1), np.zeros(5), np.arange(length + 1)]) / length
    shown = np.ones(170)
    shown[60 : 60 + len(ramp)] = ramp
    shown = shown[:, None, None, None]
    pictures = np.concatenate([still_shot(60 + length + 2, 1), still_shot(108 - length, 8)])
    faded = (pictures * shown + level * (1 - shown)).round().astype(np.uint8)
    path = write_video(tmp_path / "x.mp4", faded, frame_times(25, 6.8))
    (_, end), (start, after) = found(path)
    assert after == 170
    assert 58 <= end <= 61 + 0.05 * length
    assert 64 + 1.95 * length <= start <= 66 + 2 * length + 3


def test_noise_of_colour_in_the_dark_is_no_cut(tmp_path):
    random = np.random.default_rng(0)
    dark = [frame // 16 for frame in still_shot(150, 3)]
    for k in range(0, 150, 10):  # a key frame's noise differs from that of the frames before it
        noise = random.integers(0, 9, (30, 40, 3), np.uint8).repeat(4, 0).repeat(4, 1)
        dark[k : k + 10] = [frame + noise for frame in dark[k : k + 10]]
    path = write_video(tmp_path / "x.mp4", dark, frame_times(25, 6))
    assert found(path) == [(0, 150)]


def test_a_cut_between_dark_pictures_is_found(tmp_path):
    dark = [frame // 6 for frame in [*still_shot(60, 1), *still_shot(60, 8)]]
    path = write_video(tmp_path / "x.mp4", dark, frame_times(25, 4.8))
    assert found(path) == [(0, 60), (60, 120)]


def test_a_pan_and_a_change_of_light_are_no_cuts(tmp_path):
    frames = textured_shot(150, 3)
    for k in range(60, 120):
        frames[k] = (frames[k] * (0.2 + 0.8 * abs(k - 90) / 30)).astype(np.uint8)
    assert found(write_video(tmp_path / "x.mp4", frames, frame_times(25, 6))) == [(0, 150)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_handful_of_frames_is_one_shot(tmp_path, count):
    path = write_video(tmp_path / "x.mp4", textured_shot(count, 1), frame_times(25, count / 25))
    assert found(path) == [(0, count)]


def test_a_turned_picture_is_cut_at_the_same_frames(tmp_path):
    frames = [*textured_shot(60, 1), *textured_shot(60, 8)]
    path = write_video(tmp_path / "x.mov", frames, frame_times(25, 4.8), rotation_deg=90)
    assert found(path) == [(0, 60), (60, 120)]


def test_a_picture_that_slides_slowly_is_no_dissolve(tmp_path):
    """Less than a pixel of the small pictures: every frame is a mix of its neighbours."""
    data = pytest.importorskip("skimage.data", reason="pictures of the demo extra")
    face = data.astronaut()[:256, 100:356]
    frames = []
    for k in range(75):
        frame = np.full((320, 420, 3), 60, np.uint8)
        frame[32:288, 60 + k // 2 :][:, :256] = face
        frames.append(frame)
    path = write_video(tmp_path / "x.mp4", frames, frame_times(25, 3))
    assert found(path) == [(0, 75)]


def test_a_wipe_is_in_no_shot(tmp_path):
    """Twenty frames in which the new picture comes in from the left."""
    data = pytest.importorskip("skimage.data", reason="pictures of the demo extra")
    old, new = data.astronaut()[:240, 100:420], data.chelsea()[20:260, 60:380]
    frames = []
    for k in range(100):
        edge = int(np.clip((k - 40) / 20, 0, 1) * 320)
        frame = old.copy()
        frame[:, :edge] = new[:, :edge]
        frames.append(frame)
    path = write_video(tmp_path / "x.mp4", frames, frame_times(25, 4))
    first, second = found(path)
    assert first[0] == 0
    assert 36 <= first[1] <= 42
    assert 58 <= second[0] <= 64
    assert second[1] == 100
