"""One pass from frames to clips: nothing lost, nothing across a cut, memory flat."""

import weakref
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import StorageError
from pipeline.faces import smoothing
from pipeline.faces.backend import Frame
from pipeline.faces.clip_extraction import extract_clips
from pipeline.faces.continuity import LOOK
from pipeline.faces.track_buffer import ExtractionRules, FaceClip, LeftOut
from pipeline.media.frames import GridFrame
from pipeline.media.i420 import rgb_of
from pipeline.params.curation import FacesParams
from tests.pipeline.faces.stub import World, face_at, number_of, picture

RULES = ExtractionRules.of(FacesParams(max_interpolated_frames=25))
STRICT = ExtractionRules.of(FacesParams())
ONE = World([lambda k: face_at(16, 12, 40)])


def frames(count: int, width: int = 32, height: int = 24) -> Iterator[Frame]:
    for number in range(count):
        yield picture(number, width, height)


def cut(
    world: World, count: int, shots: list[tuple[int, int]], scratch: Path
) -> list[tuple[FaceClip, list[Frame]]]:
    segments = extract_clips(map(GridFrame, frames(count)), shots, world, RULES, scratch)
    return [(one, list(one.crops)) for one in segments if isinstance(one, FaceClip)]


def parts(images: Iterable[GridFrame], scratch: Path, world: World = ONE) -> list[tuple]:
    """(reason, first frame, frame after the last) of every part of every track."""
    return [
        (one.reason, one.start_frame, one.start_frame + len(one.frames))
        if isinstance(one, LeftOut)
        else ("", one.start_frame, one.end_frame)
        for one in extract_clips(images, [(0, 100_000)], world, STRICT, scratch)
    ]


def films(count: int, damaged: range = range(0), held: range = range(0)) -> Iterator[GridFrame]:
    """Frames of which some are torn, and some show the picture before `held` again."""
    shown = picture(0)
    for number in range(count):
        shown = shown if number in held else picture(number)
        yield GridFrame(shown, number in damaged, number - held.start + 1 if number in held else 0)


@pytest.mark.parametrize("torn", [range(100, 101), range(100, 130), range(30)])
def test_torn_pictures_are_in_no_clip(torn: range, tmp_path: Path) -> None:
    before = [("", 0, torn.start)] if torn.start else []
    assert parts(films(250, damaged=torn), tmp_path) == [
        *before,
        ("damaged_picture", torn.start, torn.stop),
        ("", torn.stop, 250),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_standing_picture_beyond_the_limit_is_in_no_clip_and_nothing_looks_at_it(
    tmp_path: Path,
) -> None:
    assert parts(films(250, held=range(100, 105)), tmp_path) == [("", 0, 250)]
    world = World([lambda k: face_at(16, 12, 40)])
    assert parts(films(1800, held=range(100, 1700)), tmp_path, world) == [
        ("", 0, 100),
        ("standing_picture", 100, 1700),
        ("", 1700, 1800),
    ]
    assert not any(105 < number < 1700 for number in world.detected_on)


def test_a_film_of_equal_pictures_stands_still_as_well(tmp_path: Path) -> None:
    images = (GridFrame(picture(min(k, 99) if k < 180 else k).copy()) for k in range(260))
    assert parts(images, tmp_path) == [
        ("", 0, 100),
        ("standing_picture", 100, 180),
        ("", 180, 260),
    ]


def test_a_face_lost_for_longer_than_the_limit_ends_the_clip(tmp_path: Path) -> None:
    world = World([lambda k: None if k in range(50, 55) or 150 <= k < 156 else face_at(16, 12, 40)])
    images = map(GridFrame, frames(250))
    assert parts(images, tmp_path, world) == [("", 0, 150), ("face_lost", 150, 156), ("", 156, 250)]


def test_a_shot_that_ends_standing_is_accounted_for(tmp_path: Path) -> None:
    assert parts(films(200, held=range(100, 200)), tmp_path) == [
        ("", 0, 100),
        ("standing_picture", 100, 200),
    ]


@pytest.mark.parametrize("count", [74, 75, 324, 325, 580])
def test_no_frame_of_a_track_is_lost_or_repeated(count: int, tmp_path: Path) -> None:
    clips = cut(World([lambda k: face_at(16, 12, 40)]), count, [(0, count)], tmp_path)
    bounds = [(segment.start_frame, segment.end_frame) for segment, _ in clips]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == count
    assert all(one[1] == two[0] for one, two in pairwise(bounds))
    assert all(len(crops) == segment.num_frames for segment, crops in clips)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_never_crosses_a_cut(tmp_path: Path) -> None:
    shots = [(0, 130), (130, 260), (270, 400)]
    clips = cut(World([lambda k: face_at(16, 12, 40)]), 420, shots, tmp_path)
    assert [(s.scene, s.track, s.start_frame, s.end_frame) for s, _ in clips] == [
        (scene, scene, start, end) for scene, (start, end) in enumerate(shots)
    ]


def test_shots_beyond_the_last_frame_end_with_it(tmp_path: Path) -> None:
    clips = cut(World([lambda k: face_at(16, 12, 40)]), 100, [(0, 300), (300, 500)], tmp_path)
    assert [(s.start_frame, s.end_frame) for s, _ in clips] == [(0, 100)]


def test_each_crop_is_cut_from_its_own_frame(tmp_path: Path) -> None:
    """Also after a gap, whose frames have to wait until the face is back."""

    def grey(number: int) -> int:
        return number * 97 % 256

    def images() -> Iterator[GridFrame]:
        for image in frames(340, 64, 64):
            image[8:] = grey(number_of(image))
            yield GridFrame(image)

    world = World([lambda k: None if 100 <= k < 124 else face_at(32, 36, 40)])
    for segment in extract_clips(images(), [(0, 340)], world, RULES, tmp_path):
        assert isinstance(segment, FaceClip)
        for number, crop in enumerate(segment.crops, segment.start_frame):
            assert abs(int(rgb_of(crop)[128, 128, 0]) - grey(number)) <= 1
        hidden = np.arange(segment.start_frame, segment.end_frame)
        assert np.array_equal(segment.interpolated, (hidden >= 100) & (hidden < 124))


def test_landmarks_are_stored_as_found_and_matrices_are_smooth(tmp_path: Path) -> None:
    jitter = np.random.default_rng(0).uniform(-3, 3, 200)
    world = World([lambda k: face_at(300 + jitter[k], 200)])
    ((segment, _),) = cut(world, 200, [(0, 200)], tmp_path)
    assert np.allclose(segment.landmarks[:, 4, 0], 300 + jitter, atol=1e-3)
    raw = np.abs(np.diff(jitter, 2)).mean()
    spot = segment.matrices @ np.array([300.0, 200.0, 1.0])
    scale = np.hypot(segment.matrices[0, 0, 0], segment.matrices[0, 1, 0])
    assert np.abs(np.diff(spot[:, 0], 2)).mean() / scale < 0.2 * raw


def test_only_the_frames_that_are_still_needed_are_kept(tmp_path: Path) -> None:
    """So memory does not grow with the video. One of two faces is often hidden."""
    alive, most = 0, 0

    def count_down(_: object) -> None:
        nonlocal alive
        alive -= 1

    def images() -> Iterator[GridFrame]:
        nonlocal alive, most
        for image in frames(700):
            alive += 1
            most = max(most, alive)
            watched.append(weakref.ref(image, count_down))
            yield GridFrame(image)

    watched: list[weakref.ref[Frame]] = []
    world = World(
        [lambda k: face_at(8, 12, 40), lambda k: face_at(90, 12, 40) if k % 60 < 40 else None]
    )
    found = extract_clips(images(), [(0, 700)], world, RULES, tmp_path)
    lengths = [s.num_frames for s in found if isinstance(s, FaceClip)]
    assert max(lengths) == 250
    ahead = smoothing.steadied_radius(RULES.sigma_frames)
    assert most <= RULES.tracking.max_gap_frames + ahead + LOOK + 3
    assert alive <= 1


def test_scratch_does_not_grow_with_the_track(tmp_path: Path) -> None:
    largest = 0
    world = World([lambda k: face_at(16, 12, 40)])
    for _ in extract_clips(map(GridFrame, frames(800)), [(0, 800)], world, RULES, tmp_path):
        largest = max(largest, *(path.stat().st_size for path in tmp_path.iterdir()))
    assert largest == (250 + 75) * 256 * 256 * 3 // 2


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        cut(World([lambda k: face_at(16, 12, 40)]), 100, [(0, 100)], tmp_path / "absent")


def test_the_picture_number_survives_the_stub() -> None:
    assert [number_of(image) for image in frames(300)] == list(range(300))
