"""Clips: one encode, reproducible bytes, right colours, cut anywhere without a second encode."""

import io
from itertools import pairwise

import av
import decord
import numpy as np
import pytest

from pipeline.errors import DecodeError, StorageError
from pipeline.media.encode import check_cut, read_video, trim_clip, write_clip
from pipeline.media.probe import probe
from tests.media import textured_shot

FRAMES = textured_shot(50, 5, (128, 128))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("encode") / "clip.mp4"
    assert write_clip(path, iter(FRAMES), 14) == 50
    return path


def test_the_same_frames_give_the_same_bytes(clip, tmp_path):
    write_clip(tmp_path / "again.mp4", FRAMES, 14)
    assert clip.read_bytes() == (tmp_path / "again.mp4").read_bytes()


def test_no_tool_and_no_time_is_named_in_the_file(clip):
    data = clip.read_bytes()
    assert not [word for word in (b"x264", b"Lavf", b"Lavc", b"x265") if word in data]
    with av.open(clip) as container:
        assert "creation_time" not in {**container.metadata, **container.streams[0].metadata}


def test_a_clip_is_25_fps_h264_that_starts_at_zero_with_the_index_in_front(clip):
    facts = probe(clip)
    assert (facts.video_codec, facts.pixel_format, facts.num_frames) == ("h264", "yuv420p", 50)
    assert (facts.average_fps, facts.variable_fps, facts.video_start_s) == (25.0, False, 0.0)
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_nothing_refers_forward_and_every_tenth_frame_is_a_way_in(clip):
    with av.open(clip) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        assert [p.pts for p in packets] == [p.dts for p in packets]
        ways_in = [i for i, p in enumerate(packets) if p.is_keyframe]
    assert ways_in[:16] == list(range(16))
    assert max(b - a for a, b in pairwise([*ways_in, 50])) <= 10


@pytest.mark.parametrize("colour", [(200, 60, 30), (30, 160, 90), (40, 50, 210), (128, 128, 128)])
def test_pyav_and_decord_read_the_colours_that_were_written(tmp_path, colour):
    path = tmp_path / "x.mp4"
    write_clip(path, [np.full((64, 64, 3), colour, np.uint8)] * 3, 14)
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1), "BT.709, limited range"
        foreign = frame.to_ndarray(format="rgb24")
    others = [foreign, decord.VideoReader(str(path), num_threads=1)[0].asnumpy()]
    for picture, within in [(read_video(path)[0], 2), *((other, 4) for other in others)]:
        assert np.abs(picture.reshape(-1, 3).mean(axis=0) - colour).max() < within


def test_quality_is_near_lossless(clip):
    grey = [np.stack(x).astype(float).mean(axis=-1) for x in (FRAMES, read_video(clip))]
    assert 10 * np.log10(255**2 / np.mean((grey[0] - grey[1]) ** 2)) > 40


@pytest.mark.parametrize("first", [0, 1, 7, 15])
@pytest.mark.parametrize("count", [1, 2, 20, 35])
def test_any_cut_is_bit_for_bit_the_same_pictures_for_every_reader(clip, tmp_path, first, count):
    short = tmp_path / "short.mp4"
    trim_clip(clip, short, first, count)
    wanted = read_video(clip)[first : first + count]
    assert np.array_equal(read_video(short), wanted)
    assert np.array_equal(read_video(short.read_bytes()), wanted)
    reader = decord.VideoReader(io.BytesIO(short.read_bytes()), num_threads=1)
    whole = decord.VideoReader(str(clip), num_threads=1)
    picked = whole.get_batch(range(first, first + count)).asnumpy()
    assert np.array_equal(reader.get_batch(range(len(reader))).asnumpy(), picked)
    with av.open(short) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        times = [(p.pts * p.time_base, p.dts * p.time_base) for p in packets]
        assert container.duration == count * 40_000
    assert times == [(k / 25, k / 25) for k in range(count)] or np.allclose(
        np.array(times, float), np.arange(count)[:, None] / 25
    )
    assert probe(short).num_frames == count


def test_a_cut_that_is_not_there_is_refused(clip, tmp_path):
    for first, count in [(0, 51), (16, 3), (-1, 3), (3, 0), (60, 1)]:
        with pytest.raises(ValueError, match="cannot cut"):
            trim_clip(clip, tmp_path / "x.mp4", first, count)


@pytest.mark.parametrize(("first", "count"), [(0, 50), (3, 30), (15, 35), (25, 1)])
def test_a_cut_is_known_by_its_packets(clip, tmp_path, first, count):
    cut = tmp_path / "cut.mp4"
    trim_clip(clip, cut, first, count)
    check_cut(clip, cut, first, count)
    for other in [(first + 1, count), (first, count - 1), (first, count + 1)]:
        with pytest.raises(DecodeError, match="does not hold"):
            check_cut(clip, cut, *other)


def test_a_cut_with_one_other_byte_or_other_times_is_refused(clip, tmp_path):
    cut, data = tmp_path / "cut.mp4", clip.read_bytes()
    place = data.index(b"mdat") + 200
    cut.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(DecodeError, match="does not hold"):
        check_cut(clip, cut, 0, 50)
    every_frame = (50).to_bytes(4, "big") + (512).to_bytes(4, "big")  # of 12800 in a second
    cut.write_bytes(data.replace(every_frame, every_frame[:4] + (513).to_bytes(4, "big")))
    with pytest.raises(DecodeError, match="25 fps"):
        check_cut(clip, cut, 0, 50)
    write_clip(cut, FRAMES, 15)
    with pytest.raises(DecodeError, match="does not hold"):
        check_cut(clip, cut, 0, 50)


def test_a_cut_that_begins_between_key_frames_is_refused(clip, tmp_path):
    cut = tmp_path / "cut.mp4"
    with av.open(clip) as source, av.open(cut, "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in [p for p in source.demux(video=0) if p.size][17:]:
            packet.stream = stream
            packet.pts = packet.dts = packet.pts - 17 * packet.duration
            output.mux(packet)
    with pytest.raises(DecodeError, match="from a key frame"):
        check_cut(clip, cut, 17, 33)


def test_cutting_twice_gives_the_same_bytes(clip, tmp_path):
    for name in ("a", "b"):
        trim_clip(clip, tmp_path / name, 3, 30)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_frames_that_lie_apart_or_cannot_be_written_to_are_encoded_as_their_copies(clip, tmp_path):
    apart = np.stack(FRAMES)[:, :, ::-1].copy()
    apart.flags.writeable = False
    write_clip(tmp_path / "x.mp4", [frame[:, ::-1] for frame in apart], 14)
    assert clip.read_bytes() == (tmp_path / "x.mp4").read_bytes()
    write_clip(tmp_path / "x.mp4", apart[:, :, ::-1], 14)
    assert clip.read_bytes() == (tmp_path / "x.mp4").read_bytes()


def test_frames_that_cannot_be_encoded_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_clip(tmp_path / "x.mp4", [], 14)
    with pytest.raises(ValueError, match="even"):
        write_clip(tmp_path / "x.mp4", [np.zeros((63, 64, 3), np.uint8)], 14)


def test_a_folder_that_is_absent_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError):
        write_clip(tmp_path / "absent" / "x.mp4", FRAMES[:2], 14)


def test_bytes_that_are_no_clip_are_refused():
    with pytest.raises(DecodeError):
        read_video(b"no clip")
