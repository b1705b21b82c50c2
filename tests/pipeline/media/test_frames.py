"""Which source frame each frame of the 25 fps grid shows, and with which pixels."""

import gc
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.media.decoding import Damage
from pipeline.media.frames import frames_at_25fps, grid_frames, read_video_clock
from pipeline.media.picture import square_size
from pipeline.media.probe import probe
from tests.media import (
    TICKS,
    Sound,
    beep_samples,
    frame_times,
    textured_shot,
    variable_times,
    write_sound,
    write_video,
)

NTSC_FILM, NTSC = Fraction(24000, 1001), Fraction(30000, 1001)


def numbered(count, size=(64, 48)):
    """Pictures that carry their number as 10 black or white blocks."""
    frames = np.zeros((count, size[1], size[0], 3), np.uint8)
    for number in range(count):
        for bit in range(10):
            frames[number, :, 6 * bit : 6 * bit + 6] = 235 if number >> bit & 1 else 16
    return frames


def number_of(frame):
    return sum((frame[:, 6 * bit + 3].mean() > 128) << bit for bit in range(10))


def nearest(times_s, num_frames):
    """The rule, written down a second time: exact, and with all times at once."""
    ticks = np.array([round(t * TICKS) for t in times_s])
    ticks -= ticks[0]
    grid, shown = TICKS // 25 * np.arange(num_frames), np.zeros(num_frames, int)
    usual = np.median(np.diff(ticks))
    for number in range(1, len(ticks)):
        gap = ticks[number] - ticks[number - 1]
        reach = gap if gap <= 2 * usual else usual  # a hole is not half filled from behind
        shown[grid > ticks[number] - reach / 2] = number
    return shown.tolist()


RATES = {
    "23.976": frame_times(NTSC_FILM, 5),
    "25": frame_times(25, 3),
    "29.97": frame_times(NTSC, 5),
    "30": frame_times(30, 5),
    "50": frame_times(50, 3),
    "60": frame_times(60, 3),
    "variable": variable_times(5),
    "slow": [0.0, 0.5, 0.52, 1.7],
}


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
@pytest.mark.parametrize("rate", RATES)
def test_each_grid_frame_is_the_source_frame_nearest_in_time(tmp_path, rate, suffix):
    times = RATES[rate]
    path = write_video(tmp_path / f"x.{suffix}", numbered(len(times)), times, start_s=0.3)
    shown = [number_of(frame) for frame in frames_at_25fps(path)]
    assert shown == nearest(times, len(shown))
    assert len(shown) == probe(path).num_frames


def test_on_a_tie_the_earlier_frame_is_shown(tmp_path):
    path = write_video(tmp_path / "x.mp4", numbered(4), [0.0, 0.08, 0.16, 0.24])
    assert [number_of(frame) for frame in frames_at_25fps(path)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_avi_with_b_frames_is_shown_in_order(tmp_path):
    path = write_video(tmp_path / "x.avi", numbered(50), frame_times(25, 2))
    assert [number_of(frame) for frame in frames_at_25fps(path)] == list(range(50))


def test_a_bare_stream_without_any_timestamp_is_read_at_its_nominal_rate(tmp_path):
    path = tmp_path / "x.h264"
    write_video(path, numbered(50), frame_times(25, 2), time_base=Fraction(1, 25))
    assert [number_of(frame) for frame in frames_at_25fps(path)] == list(range(50))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_are_turned_and_mirrored_as_the_file_asks(tmp_path, rotation, mirrored):
    stored = np.full((48, 64, 3), 16, np.uint8)
    stored[:24, :32], stored[:24, 32:] = 235, 100
    path = tmp_path / "x.mov"
    write_video(path, [stored], [0.0], rotation_deg=rotation, mirrored=mirrored)
    (shown,) = frames_at_25fps(path)
    with av.open(path) as container:
        matrix = next(container.decode(video=0)).rotation  # FFmpeg's own reading, anticlockwise
    upright = np.rot90(stored, -rotation // 90)
    if mirrored:  # set_display_rotation mirrors after turning
        upright = upright[:, ::-1]
    else:
        assert matrix % 360 == -rotation % 360
    assert shown.shape == upright.shape
    assert np.abs(shown.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(
    ("height", "tags", "matrix"),
    [
        (48, {}, (0.299, 0.114)),
        (720, {}, (0.2126, 0.0722)),
        (48, {"colorspace": 1, "color_range": 1}, (0.2126, 0.0722)),
        (720, {"colorspace": 6, "color_range": 1}, (0.299, 0.114)),
        (48, {"colorspace": 5, "color_range": 2}, (0.299, 0.114)),
    ],
)
def test_colours_follow_the_tags_or_the_custom_of_the_size(tmp_path, height, tags, matrix):
    colour = np.array([200.0, 60.0, 30.0])
    full = tags.get("color_range") == 2
    path = tmp_path / "x.mp4"
    _write_yuv(path, _to_yuv(colour, *matrix, full), height, tags)
    (shown,) = frames_at_25fps(path)
    assert np.abs(shown.reshape(-1, 3).mean(axis=0) - colour).max() < 2.5


def _to_yuv(rgb, red, blue, full):
    r, g, b = rgb / 255
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = np.array([(b - luma) / (1 - blue) / 2, (r - luma) / (1 - red) / 2])
    if full:
        return [255 * luma, *(128 + 255 * chroma)]
    return [16 + 219 * luma, *(128 + 224 * chroma)]


def _write_yuv(path, yuv, height, tags):
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        frame = av.VideoFrame(64, height, "yuv420p")
        for plane, value in zip(frame.planes, yuv, strict=True):
            plane.update(bytes([round(value)]) * plane.buffer_size)
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
            setattr(frame, name, value)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_pixels_do_not_depend_on_the_number_of_threads(tmp_path):
    path = write_video(tmp_path / "x.mp4", textured_shot(60, 3), frame_times(30, 2))
    one, four = (np.stack(list(frames_at_25fps(path, threads))) for threads in (1, 4))
    assert np.array_equal(one, four)


def test_a_repeated_frame_is_one_array_that_nobody_can_change(tmp_path):
    path = write_video(tmp_path / "x.mp4", textured_shot(2, 3), [0.0, 0.2])
    first, second, *_ = frames_at_25fps(path)
    assert first is second
    assert not first.flags.writeable


def test_a_frame_is_held_where_it_is_shown_for_more_than_two_usual_gaps(tmp_path):
    times = [t for t in frame_times(12.5, 4) if not 1.0 < t < 2.0]
    path = write_video(tmp_path / "x.mp4", numbered(len(times)), times)
    held = [frame.held for frame in grid_frames(path)]
    assert held[24:50] == [0] * 4 + list(range(1, 23))
    assert not any(held[:24] + held[50:])


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_stays_flat_however_many_frames_are_read_even_without_garbage_collection(tmp_path):
    texture = textured_shot(64, 3)
    frames = (texture[i % 64] for i in range(3000))
    path = write_video(tmp_path / "x.mp4", frames, frame_times(25, 120))
    gc.disable()
    try:
        shown = frames_at_25fps(path)
        next(shown)
        before = resident_bytes()
        count = 1 + sum(1 for _ in shown)
        grown = resident_bytes() - before
    finally:
        gc.enable()
    assert count == 3000
    assert grown < 30e6, "3000 stored frames are 86 MB, 3000 shown ones 173 MB"


def test_a_frame_of_an_avi_that_does_not_decode_shifts_none_behind_it(tmp_path):
    path = tmp_path / "x.avi"
    frames, frame = textured_shot(100, 3), Fraction(1, 25)
    write_video(path, frames, frame_times(25, 4), codec="mpeg4", options={}, time_base=frame)
    whole = list(frames_at_25fps(path))
    data = bytearray(path.read_bytes())
    middle = data.index(b"00dc", len(data) // 2) + 8
    data[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(data)
    shown, damage = [], Damage()
    for frame in grid_frames(path, damage=damage):
        shown.append(frame)
    assert len(shown) == 100
    assert damage.bad_packets + damage.damaged_frames > 0
    assert any(frame.damaged for frame in shown)
    assert not any(frame.damaged for frame in [*shown[:15], *shown[60:]])
    assert np.array_equal(shown[-1].image, whole[-1])


def test_a_hole_of_minutes_is_held_and_costs_no_decoding(tmp_path):
    path = write_video(
        tmp_path / "x.mp4", numbered(4), [0.0, 0.04, 2000.0, 2000.04], options={"bf": "0"}
    )
    shown = [(id(frame.image), frame.held) for frame in grid_frames(path)]
    assert len(shown) == 25 * 2000 + 2
    assert [held for _, held in shown[:5]] == [0, 0, 0, 1, 2]
    assert len({image for image, _ in shown}) <= 4


def test_a_jump_forward_by_more_than_an_hour_is_another_clock(tmp_path):
    times = [0.0, 0.04, 0.08, *(8000 + n / 25 for n in range(20))]
    path = write_video(tmp_path / "x.mp4", numbered(23), times, options={"bf": "0"})
    assert [number_of(frame) for frame in frames_at_25fps(path)] == list(range(23))
    (remark,) = probe(path).remarks
    assert "the clock jumps by 7999.88 s at 0.12 s" in remark


@pytest.mark.parametrize(
    "sizes", [((64, 48), (128, 96)), ((128, 96), (64, 48)), ((96, 96), (128, 64))]
)
def test_a_film_whose_size_changes_has_one_size_that_shrinks_no_frame(tmp_path, sizes):
    path = tmp_path / "x.h264"
    parts = []
    for size in sizes:
        white = [np.full((size[1], size[0], 3), 235, np.uint8)] * 10
        part = write_video(
            tmp_path / "part.h264", white, frame_times(25, 0.4), time_base=Fraction(1, 25)
        )
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    shown = list(frames_at_25fps(path))
    width, height = (max(size[axis] for size in sizes) for axis in (0, 1))
    assert {frame.shape for frame in shown} == {(height, width, 3)}
    assert (probe(path).width, probe(path).height) == (width, height)
    for frame, size in ((shown[2], sizes[0]), (shown[15], sizes[1])):
        across, along = (
            (frame.mean(axis=2) > 128).any(axis=0).sum(),
            (frame.mean(axis=2) > 128).any(axis=1).sum(),
        )
        scale = min(width / size[0], height / size[1])
        assert (across, along) == (round(scale * size[0]), round(scale * size[1]))


def test_a_file_without_picture_has_no_frames(tmp_path):
    path = write_sound(tmp_path / "x.wav", Sound(beep_samples([], 1.0, 16_000), codec="pcm_s16le"))
    with pytest.raises(DecodeError, match="no video stream"):
        next(frames_at_25fps(path))


def test_the_frames_that_a_cut_stream_cannot_decode_at_its_start_are_left_out(tmp_path):
    path = write_video(tmp_path / "x.ts", numbered(60), frame_times(25, 2.4), start_s=1.0,
                       options={"g": "20", "bf": "0", "sc_threshold": "0"})  # fmt: skip
    packets = path.read_bytes()
    path.write_bytes(packets[: 188 * 3] + packets[len(packets) // 5 // 188 * 188 :])
    shown = [number_of(frame) for frame in frames_at_25fps(path)]
    assert shown == list(range(20, 60))
    assert read_video_clock(path).start_s == pytest.approx(1.8)


def test_anamorphic_pixels_are_made_square(tmp_path):
    assert square_size(720, 576, Fraction(16, 15)) == (768, 576)
    assert square_size(720, 480, Fraction(8, 9)) == (720, 540)
    assert square_size(454, 256, Fraction(4096, 4095)) == (454, 256)
    assert square_size(64, 48, Fraction(1, 0x7FFF)) == (64, 48)
    path = tmp_path / "x.mp4"
    write_video(path, textured_shot(2, 1, (64, 48)), [0.0, 0.04], options={"aspect": "3:2"})
    assert next(frames_at_25fps(path)).shape == (48, 96, 3)
    assert (probe(path).width, probe(path).height) == (96, 48)
