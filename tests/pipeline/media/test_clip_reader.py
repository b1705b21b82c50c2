import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DecodeError, UnreadableError
from pipeline.media.clip_reader import (
    chosen_frames,
    read_arrays,
    read_audio,
    read_audio_int16,
    read_facts,
    spread_frames,
    stored_frames,
)
from pipeline.media.encode import read_video, write_clip
from pipeline.media.flac import flac_bytes

ARRAYS: dict[str, Any] = {
    "landmarks": np.arange(5 * 106 * 3, dtype=np.float32).reshape(5, 106, 3),
    "matrices": np.tile(np.eye(2, 3), (5, 1, 1)),
    "scores": np.linspace(0, 1, 5),
    "boxes": np.ones((5, 4), np.float32),
    "interpolated": np.arange(5) > 2,
}
SOUND = np.array([-32768, -32767, -1, 0, 1, 16384, 32767] * 100, np.int16)


def npz(*, compressed: bool = False, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_those_stored_from_a_file_or_from_bytes(tmp_path: Path, compressed: bool):
    content = npz(compressed=compressed, **ARRAYS)
    (tmp_path / "c.npz").write_bytes(content)
    for source in (content, tmp_path / "c.npz"):
        read = read_arrays(source)
        assert {n: a.dtype for n, a in read.items()} == {n: a.dtype for n, a in ARRAYS.items()}
        assert all(np.array_equal(read[name], ARRAYS[name]) for name in ARRAYS)
    assert list(read_arrays(content, ("boxes",))) == ["boxes"]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("landmarks", np.zeros((5, 106, 2))),
        ("landmarks", np.zeros((4, 106, 3))),
        ("matrices", np.zeros((5, 6))),
        ("scores", np.zeros((5, 1))),
        ("boxes", np.zeros((5, 5))),
        ("interpolated", np.array(True)),
        ("something_else", np.array(1.0)),
        ("matrices", np.array([None] * 5)),
    ],
)
def test_an_array_of_another_shape_length_or_type_is_a_decode_error(name: str, array: Any):
    with pytest.raises(DecodeError, match="the landmark file cannot be used"):
        read_arrays(npz(**(ARRAYS | {name: array})))


def test_a_missing_array_is_a_decode_error():
    with pytest.raises(DecodeError, match="boxes"):
        read_arrays(npz(scores=np.zeros(5)), ("scores", "boxes"))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_npz_is_a_decode_error_wherever_the_damage_is(compressed: bool):
    whole = npz(compressed=compressed, **ARRAYS)
    single = io.BytesIO()
    np.save(single, ARRAYS["scores"])
    for content in (b"", b"no npz", whole[:30], whole[:-40], single.getvalue()):
        with pytest.raises(DecodeError):
            read_arrays(content)
    for place in range(100, 2000, 50):
        damaged = whole[:place] + bytes(20) + b"\xff" * 20 + whole[place + 40 :]
        with pytest.raises(DecodeError):
            read_arrays(damaged)


def test_audio_as_integers_is_what_was_stored_and_as_floats_that_over_32768(tmp_path: Path):
    content = flac_bytes(SOUND, 16_000)
    (tmp_path / "c.flac").write_bytes(content)
    for source in (content, tmp_path / "c.flac"):
        assert read_audio_int16(source).dtype == np.int16
        assert np.array_equal(read_audio_int16(source), SOUND)
        assert read_audio(source).dtype == np.float32
        assert np.array_equal(read_audio(source), SOUND.astype(np.float32) / 32768)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no flac",
        flac_bytes(SOUND, 16_000)[:60],
        flac_bytes(SOUND, 44_100),
        flac_bytes(np.stack([SOUND, SOUND], axis=1), 16_000),
    ],
    ids=["empty", "no-flac", "cut", "44.1-kHz", "stereo"],
)
def test_audio_that_is_no_whole_16_khz_mono_flac_is_a_decode_error(content: bytes):
    with pytest.raises(DecodeError):
        read_audio(content)


def test_facts_are_a_json_object():
    assert read_facts(b'{"fps": 25}') == {"fps": 25}
    for content in (b"", b"{", b"[1]", b"\xff\xfe\x00"):
        with pytest.raises(DecodeError, match="the JSON"):
            read_facts(content)


@pytest.mark.parametrize("read", [read_arrays, read_audio, read_audio_int16, read_facts])
def test_a_file_that_the_storage_refuses_is_unreadable_and_no_decode_error(
    tmp_path: Path, read: Any
):
    for path in (tmp_path / "gone", tmp_path):
        with pytest.raises(UnreadableError, match="cannot be read"):
            read(path)


def test_stored_frames_are_all_frames_in_order(tmp_path: Path):
    grey = [np.full((64, 64, 3), 40 + 20 * number, np.uint8) for number in range(9)]
    write_clip(tmp_path / "c.mp4", grey, crf=10)
    means = [float(np.mean(frame.to_ndarray(format="gray"))) for frame in
             stored_frames(tmp_path / "c.mp4")]  # fmt: skip
    assert len(means) == len(read_video(tmp_path / "c.mp4")) == 9
    assert means == sorted(means)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames that no two of are alike; key frames are 0 to 15, 25, 35, 45, 55."""
    path = tmp_path_factory.mktemp("noisy") / "c.mp4"
    write_clip(path, np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), np.uint8), crf=30)
    return path


@pytest.mark.parametrize(
    "wanted", [{0}, {15, 16, 17}, {3, 24, 25, 34, 58}, {59}, set(range(60)), {57, 60, 99}, set()]
)
def test_chosen_frames_have_the_pixels_of_a_whole_decode(noisy: Path, wanted: set[int]):
    every = [frame.to_ndarray() for frame in stored_frames(noisy)]
    found = [(number, frame.to_ndarray()) for number, frame in chosen_frames(noisy, wanted)]
    assert [number for number, _ in found] == sorted(wanted & set(range(60)))
    assert all((picture == every[number]).all() for number, picture in found)


@pytest.mark.parametrize(
    ("num_frames", "count", "expected"),
    [(8, 4, [1, 3, 5, 7]), (3, 8, [0, 1, 2]), (1, 8, [0]), (100, 1, [50])],
)
def test_spread_frames_are_the_middles_of_equal_parts(num_frames, count, expected):
    assert spread_frames(num_frames, count) == expected
