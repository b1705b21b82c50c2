"""The pictures of a strip, with and without decord."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.media.encode import write_clip
from pipeline.report.film_strips import FRAME_PX, small_pictures

WANTED = {0, 15, 24, 58, 99}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames, each with a colour of its own."""
    path = tmp_path_factory.mktemp("strip") / "c.mp4"
    small = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
    write_clip(path, [cv2.resize(one, (256, 256), interpolation=2) for one in small], crf=14)
    return path


def test_decord_and_pyav_give_the_same_frames(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("decord", reason="no wheel for this processor")
    by_decord = list(small_pictures(clip, WANTED))
    monkeypatch.setitem(sys.modules, "decord", None)
    by_pyav = list(small_pictures(clip, WANTED))
    assert [number for number, _ in by_decord] == [number for number, _ in by_pyav]
    assert [number for number, _ in by_pyav] == [0, 15, 24, 58]
    for (_, one), (_, other) in zip(by_decord, by_pyav, strict=True):
        assert one.shape == other.shape == (FRAME_PX, FRAME_PX, 3)
        assert np.abs(one.astype(int) - other).mean() < 3


def test_a_file_that_is_no_clip_is_an_error_of_decoding(tmp_path: Path) -> None:
    pytest.importorskip("decord", reason="no wheel for this processor")
    path = tmp_path / "c.mp4"
    path.write_bytes(b"no clip")
    with pytest.raises(DecodeError):
        list(small_pictures(path, WANTED))
