"""The section reads the npz of accepted clips, and says what it could not read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.leak.left_out import LIMIT
from pipeline.report.leak_section import leak_section
from pipeline.report.reported_clips import ReportedClip

FRAMES, PART = 100, slice(10, 90)


def stored(folder: Path, clip_id: str, leaks: bool) -> None:
    """A face that stands still, whose crop shakes with the mouth or by itself."""
    random = np.random.default_rng(int(clip_id))
    opening, other = random.normal(size=(2, FRAMES))
    landmarks = np.zeros((FRAMES, 468, 3), np.float32)
    landmarks[:, 33, 0], landmarks[:, 133, 0] = 0, 30
    landmarks[:, 362, 0], landmarks[:, 263, 0] = 70, 100
    landmarks[:, [14, 87, 317], 1] = 20 + 3 * opening[:, None]
    matrices = np.tile([[1.0, 0, 0], [0, 1, 0]], (FRAMES, 1, 1))
    matrices[:, 1, 2] = 0.1 * (opening if leaks else other)
    np.savez(folder / f"{clip_id}.npz", landmarks=landmarks, matrices=matrices)


def reported(number: int, uri: str) -> ReportedClip:
    row = {
        "artifact": "key",
        "num_frames": PART.stop - PART.start,
        "crop_px": 256,
        "landmark_schema": "mesh468",
    }
    ids = str(number), PART.start, uri, uri
    return ReportedClip(*ids, "accepted", "", "", "train", row, FRAMES, None, None, None)


@pytest.mark.parametrize("leaks", [True, False])
def test_the_leak_of_accepted_clips_is_measured_over_their_parts(
    tmp_path: Path, leaks: bool
) -> None:
    clips = [reported(number, f"film {number % 4}") for number in range(8)]
    for clip in clips[:-1]:
        stored(tmp_path, clip.clip_id, leaks)
    rejected = replace(clips[0], ending="rejected")
    section = leak_section([*clips, rejected], lambda key, name: tmp_path / name)
    assert section.leak is not None
    assert (section.clips, section.unreadable) == (7, 1)
    assert section.leak.frames == 7 * (PART.stop - PART.start)
    assert len(section.leak.crop.sources) == 4
    assert (section.leak.crop.r2 > 0.9) == leaks
    assert (section.leak.crop.r2 < LIMIT) != leaks


def test_one_source_has_no_figure(tmp_path: Path) -> None:
    stored(tmp_path, "1", True)
    section = leak_section([reported(1, "film")], lambda key, name: tmp_path / name)
    assert section.leak is None
