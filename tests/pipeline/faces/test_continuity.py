"""A track has one person at one moment: composed of two real clips, cut at a known frame."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import WeightsError
from pipeline.faces.backend import Frame
from pipeline.faces.boxes import box_of, longer_side
from pipeline.faces.clip_extraction import extract_clips
from pipeline.faces.litert import LiteRTBackend
from pipeline.faces.stretches import RunLimits
from pipeline.faces.track_buffer import ExtractionRules, FaceClip
from pipeline.faces.tracking import TrackingRules
from pipeline.media.frames import GridFrame, frames_at_25fps
from pipeline.weights import files as weights

RULES = ExtractionRules(TrackingRules(25, 25, 32.0), 10, 200, 1.5, 256, RunLimits())
CUT = 30


@pytest.fixture(scope="module")
def backend() -> LiteRTBackend:
    try:
        weights.fetch()
    except WeightsError as error:
        pytest.skip(str(error))
    return LiteRTBackend()


@pytest.fixture(scope="module")
def woman(shared: Path) -> list[Frame]:
    return list(islice(frames_at_25fps(shared / "clips" / "sadtalker_aoc.mp4"), 120))


@pytest.fixture(scope="module")
def other(shared: Path, woman: list[Frame]) -> list[Frame]:
    clip = frames_at_25fps(shared / "clips" / "sadtalker_katiehill.mp4")
    size = woman[0].shape[1::-1]
    return [np.asarray(cv2.resize(frame, size), np.uint8) for frame in islice(clip, 60)]


def tracks(
    frames: Sequence[Frame], backend: LiteRTBackend, scratch: Path
) -> list[tuple[int, int, int]]:
    """(track, first frame, frame after the last) of every clip."""
    films = extract_clips(map(GridFrame, frames), [(0, len(frames))], backend, RULES, scratch)
    return [
        (one.track, one.start_frame, one.end_frame) for one in films if isinstance(one, FaceClip)
    ]


def square(backend: LiteRTBackend, frame: Frame) -> tuple[int, int, int]:
    """Left, top and side of the square around the only face."""
    (detection,) = backend.detect(frame)[:1]
    box = box_of(backend.landmarks(frame, detection).points)
    side = round(1.2 * longer_side(box))
    return round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2), side


def pasted(
    backend: LiteRTBackend, onto: Sequence[Frame], faces: Sequence[Frame]
) -> Iterator[Frame]:
    """The faces at the place and of the size of the first face of `onto`, before its background."""
    x, y, side = square(backend, onto[0])
    u, v, extent = square(backend, faces[0])
    for background, face in zip(onto, faces, strict=False):
        image = background.copy()
        part = face[v : v + extent, u : u + extent]
        image[y : y + side, x : x + side] = cv2.resize(part, (side, side))
        yield image


def test_a_person_who_talks_and_moves_is_one_track(
    backend: LiteRTBackend, woman: list[Frame], tmp_path: Path
) -> None:
    assert tracks(woman[:60], backend, tmp_path) == [(0, 0, 60)]


def test_another_light_is_no_other_person(
    backend: LiteRTBackend, woman: list[Frame], tmp_path: Path
) -> None:
    dark = [(frame * 0.5).astype(np.uint8) for frame in woman[CUT:60]]
    assert tracks([*woman[:CUT], *dark], backend, tmp_path) == [(0, 0, 60)]


def test_another_face_at_the_same_place_before_the_same_background_is_another_track(
    backend: LiteRTBackend, woman: list[Frame], other: list[Frame], tmp_path: Path
) -> None:
    after = list(pasted(backend, woman[CUT:60], other[:30]))
    assert tracks([*woman[:CUT], *after], backend, tmp_path) == [(0, 0, CUT), (1, CUT, 60)]


def test_a_jump_to_another_moment_ends_the_track(
    backend: LiteRTBackend, woman: list[Frame], tmp_path: Path
) -> None:
    frames = [*woman[:CUT], *woman[85:115]]
    assert tracks(frames, backend, tmp_path) == [(0, 0, CUT), (1, CUT, 60)]


def test_a_lying_face_is_upright_from_its_first_frame(
    backend: LiteRTBackend, woman: list[Frame], tmp_path: Path
) -> None:
    height, width = woman[0].shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 70, 0.8)
    lying = [np.asarray(cv2.warpAffine(one, matrix, (width, height))) for one in woman[:60]]
    films = list(extract_clips(map(GridFrame, lying), [(0, 60)], backend, RULES, tmp_path))
    clips = [one for one in films if isinstance(one, FaceClip)]
    assert clips
    for clip in clips:
        turns = np.degrees(np.arctan2(clip.matrices[:, 1, 0], clip.matrices[:, 0, 0]))
        assert np.abs(turns - np.median(turns)).max() < 10
