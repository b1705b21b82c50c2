"""Frames forwards, frozen and backwards are those of the 25 fps grid."""

import numpy as np
import pytest

from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from tests.media import beep_flash, variable_times
from trainers.dubbing import frame_source
from trainers.dubbing.frame_source import FrameSource

ORDER = [0, 1, 2, 3, 3, 3, 4, 20, 21, 20, 19, 18, 17, 10, 9, 8, 7, 6, 7, 8, 9, 0, 1]


@pytest.mark.parametrize("name", ["v.mp4", "v.mpg"])
def test_any_order_gives_the_frames_of_the_grid(tmp_path, monkeypatch, name):
    monkeypatch.setattr(frame_source, "BACKWARD_FRAMES", 4)
    times = variable_times(1.5) if name == "v.mp4" else None
    codec = "libx264" if name == "v.mp4" else "mpeg2video"
    path = beep_flash(tmp_path / name, seconds=1.5, times_s=times, codec=codec, audio_codec="mp2")
    straight = list(frames_at_25fps(path))
    made = list(FrameSource(path, probe(path)).in_order(ORDER))
    assert len(made) == len(ORDER)
    assert all(np.array_equal(straight[n], one) for n, one in zip(ORDER, made, strict=True))
