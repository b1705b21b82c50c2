"""A stretch taken out of a video is what a decode from the beginning shows there."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.media import excerpt
from pipeline.media.excerpt import frames_between
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from tests.media import frame_times, textured_shot, variable_times, write_video

SHORT_GOP = {"crf": "20", "preset": "veryfast", "g": "12", "bf": "2"}
KINDS = {
    "mp4 with B-frames": ("mp4", frame_times(25, 4), "libx264", SHORT_GOP, {}),
    "mp4 at 29.97": ("mp4", frame_times(Fraction(30000, 1001), 4), "libx264", SHORT_GOP, {}),
    "mp4, a phone's times": ("mp4", variable_times(4), "libx264", SHORT_GOP, {}),
    "mkv that begins late": ("mkv", frame_times(50, 4), "libx264", SHORT_GOP, {"start_s": 0.7}),
    "mov, rotated": ("mov", frame_times(25, 4), "libx264", SHORT_GOP, {"rotation_deg": 90}),
    "webm": ("webm", frame_times(30, 4), "libvpx", {"g": "12", "cpu-used": "8"}, {}),
    "open groups": (
        *("mp4", frame_times(25, 4), "libx264"),
        *({**SHORT_GOP, "x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}, {}),
    ),
    "refreshed piece by piece": (
        *("mp4", frame_times(25, 4), "libx264"),
        *({"crf": "20", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}, {}),
    ),
    "avi": ("avi", frame_times(25, 4), "libx264", SHORT_GOP, {}),
    "transport stream": ("ts", frame_times(25, 4), "libx264", SHORT_GOP, {}),
    "long pause": ("mp4", [0, 0.04, 0.08, 1.9, 1.94, 3.5], "libx264", SHORT_GOP, {}),
}


def made(folder: Path, kind: str) -> Path:
    suffix, times, codec, options, more = KINDS[kind]
    path = folder / f"x.{suffix}"
    frames = textured_shot(len(times), seed=3, size=(64, 48))
    return write_video(path, frames, times, codec=codec, options=options, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stretch_has_the_pixels_of_a_decode_from_the_beginning(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind)
    facts = probe(path)
    whole = np.stack(list(frames_at_25fps(path)))
    last = facts.num_frames
    for start, end in [(0, 5), (1, last), (11, 14), (12, 13), (30, 61), (last - 1, last)]:
        part = np.stack(list(frames_between(path, facts, start, end)))
        assert np.array_equal(part, whole[start:end]), (start, end)


@pytest.mark.parametrize(
    ("kind", "sought"),
    [
        ("mp4 with B-frames", True),
        ("mp4, a phone's times", True),
        ("mkv that begins late", True),
        ("webm", True),
        ("avi", False),
        ("refreshed piece by piece", False),
    ],
)
def test_only_where_key_frames_can_be_trusted_the_beginning_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, sought: bool
) -> None:
    path = made(tmp_path, kind)
    monkeypatch.setattr(excerpt, "frames_at_25fps", lambda path: iter(["from the beginning"] * 99))
    shown = list(frames_between(path, probe(path), 80, 85))
    assert [isinstance(one, str) for one in shown] == [not sought] * 5


def test_a_real_file_of_another_rate_is_cut_to_the_frame(shared: Path) -> None:
    path = shared / "clips" / "hamilton_multishot.mp4"
    whole = list(islice(frames_at_25fps(path), 100, 110))
    part = list(frames_between(path, probe(path), 100, 110))
    assert all(np.array_equal(a, b) for a, b in zip(whole, part, strict=True))
