"""The frames of a page's films are the same ones with and without decord."""

import sys

import av
import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.player.scaled_frames import scaled_frames
from tests.media import frame_times, textured_shot, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("scaled") / "clip.mp4"
    return write_video(path, textured_shot(120, 5), frame_times(25, 4.8))


def pictures(clip, start, end):
    return [frame.to_ndarray(format="rgb24") for frame in scaled_frames(clip, start, end, 96)]


def test_decord_and_pyav_give_the_same_frames(clip, monkeypatch):
    pytest.importorskip("decord", reason="no wheel for this processor")
    by_decord = pictures(clip, 7, 71)
    monkeypatch.setitem(sys.modules, "decord", None)
    by_pyav = pictures(clip, 7, 71)
    assert len(by_decord) == len(by_pyav) == 64
    near = [np.abs(a.astype(int) - b).mean() for a, b in zip(by_decord, by_pyav, strict=True)]
    other = np.abs(by_decord[0].astype(int) - by_pyav[20]).mean()
    assert max(near) < other / 4


def test_frames_beyond_the_end_are_left_out(clip):
    assert len(pictures(clip, 110, 200)) == 10
    assert pictures(clip, 130, 200) == []


def test_a_file_that_is_no_film_is_named_an_error(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no film at all" * 100)
    with pytest.raises((DecodeError, av.FFmpegError)):
        pictures(path, 0, 10)
