"""Faces in windows: no seam, no dependence on where a run was interrupted, only mouths change."""

import numpy as np
import pytest
import torch

from tests.trainers.dubbing.scene import Tint, bundle
from trainers.dubbing.face_generation import FaceDubber, dub_faces
from trainers.dubbing.reference_frames import frames_apart
from trainers.talking_face.masks import keep_mask
from trainers.talking_face.model import DubOptions


class Numbered:
    """Generates values that encode the frame and the window."""

    size_px, frames, needs_previous = 8, 16, False

    def __init__(self):
        self.calls = []

    def generate(self, faces_FCHW, start_frame, reference_FCHW=None, previous_CHW=None):
        self.calls.append((start_frame, len(faces_FCHW)))
        steps = torch.arange(len(faces_FCHW)) + start_frame * 1.5
        return steps[:, None, None, None].expand(-1, 3, 8, 8) / 1000


def faces(count, size_px=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, size_px, size_px, 3), np.uint8)


def all_of(dubber, given):
    return [face for one in given for face in dubber.push(one)]


@pytest.mark.parametrize("count", [1, 16, 17, 45])
def test_every_face_comes_back_once_and_windows_are_always_whole(count):
    generator = Numbered()
    back = all_of(FaceDubber(generator, 100, count, 4), faces(count))
    assert len(back) == count
    assert {length for _, length in generator.calls} == {16}


def test_a_generator_that_is_constant_in_time_leaves_no_seam():
    same = np.repeat(faces(1, 256), 45, axis=0)
    back = torch.stack(all_of(FaceDubber(Tint(), 0, 45, 4), same))
    assert (back - back[:1]).abs().max() < 1e-6


def test_windows_that_disagree_fade_without_a_jump():
    back = torch.stack(all_of(FaceDubber(Numbered(), 0, 40, 4), faces(40)))[:, 0, 0, 0] * 1000
    # The second window disagrees by 6: unfaded that would be one jump.
    assert (back.diff()[:20] - 1).abs().max() < 1.3


class Copying:
    """Returns the reference."""

    size_px, frames, needs_previous = 8, 16, False

    def generate(self, faces_FCHW, start_frame, reference_FCHW=None, previous_CHW=None):
        return faces_FCHW if reference_FCHW is None else reference_FCHW


@pytest.mark.parametrize("count", [5, 16, 45])
def test_every_face_gets_the_reference_of_its_own_frame(count):
    given, other = faces(count), faces(count, seed=1)
    back = torch.stack(
        all_of(FaceDubber(Copying(), 7, count, 4, reference_THWC=other), given)
    ).permute(0, 2, 3, 1)
    np.testing.assert_allclose(back, other / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("first", [0, 1, 11, 12, 15, 16, 27, 29, 44])
def test_an_interval_that_begins_later_gives_the_same_faces(first):
    whole = all_of(FaceDubber(Numbered(), 7, 45, 4), faces(45))
    dubber = FaceDubber(Numbered(), 7, 45, 4, first)
    late = all_of(dubber, faces(45)[dubber.takes_from :])
    wanted = late[first - dubber.returns_from :]
    assert dubber.takes_from <= first
    assert len(wanted) == 45 - first
    assert all(torch.equal(a, b) for a, b in zip(wanted, whole[first:], strict=True))


@pytest.mark.parametrize("count", [5, 16, 45, 120])
@pytest.mark.parametrize("first", [0, 3])
def test_a_reference_apart_is_another_face_and_needs_no_more_than_the_neighbours(count, first):
    given = faces(count)
    dubber = FaceDubber(Copying(), 7, count, 4, first, reference="apart")
    back = torch.stack(all_of(dubber, given[dubber.takes_from :])).permute(0, 2, 3, 1)
    assert len(back) == count - dubber.returns_from
    own = torch.from_numpy(given[dubber.returns_from :] / 127.5 - 1).float()
    assert not torch.isclose(back, own, atol=1e-4).flatten(1).all(dim=1).any()
    assert len(dubber._faces) <= 3 * 16


class Recording(Copying):
    """Keeps the frames of every reference, of pictures whose value is their frame."""

    def __init__(self):
        self.references = {}

    def generate(self, faces_FCHW, start_frame, reference_FCHW=None, previous_CHW=None):
        levels = (reference_FCHW[:, 0, 0, 0] + 1) * 127.5
        self.references[start_frame] = levels.round().int().tolist()
        return reference_FCHW


@pytest.mark.parametrize("count", [44, 48, 100])
@pytest.mark.parametrize("overlap", [0, 4, 8])
@pytest.mark.parametrize("first", [0, 20])
def test_a_reference_apart_is_made_of_the_frames_that_the_rule_names(count, overlap, first):
    generator = Recording()
    dubber = FaceDubber(generator, 0, count, overlap, first, reference="apart")
    numbered = np.arange(count, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (1, 8, 8, 3), np.uint8
    )
    all_of(dubber, numbered[dubber.takes_from :])
    for start, found in generator.references.items():
        assert found == list(frames_apart(start, start + 16, 16, count))


@pytest.mark.parametrize("first", [14, 26, 50])
def test_a_resumed_interval_gets_the_same_references(first):
    whole = all_of(FaceDubber(Copying(), 7, 90, 4, reference="apart"), faces(90))
    dubber = FaceDubber(Copying(), 7, 90, 4, first, reference="apart")
    late = all_of(dubber, faces(90)[dubber.takes_from :])
    wanted = late[first - dubber.returns_from :]
    assert all(torch.equal(a, b) for a, b in zip(wanted, whole[first:], strict=True))


def test_the_real_network_with_random_weights_changes_mouths_only_and_the_same_way_twice():
    model, given = bundle(64), faces(20, 64).transpose(0, 3, 1, 2)
    audio = np.random.default_rng(1).integers(-9000, 9000, 20 * 640).astype(np.int16)
    made = dub_faces(model, given, audio, DubOptions(steps=2))
    kept = keep_mask(64)[0, 0].bool().numpy()
    assert made.shape == given.shape
    assert made.dtype == np.uint8
    assert np.array_equal(made[..., kept], given[..., kept])
    assert (made[..., ~kept] != given[..., ~kept]).mean() > 0.5
    assert np.array_equal(made, dub_faces(model, given, audio, DubOptions(steps=2)))
    other = dub_faces(model, given, audio[::-1].copy(), DubOptions(steps=2))
    assert not np.array_equal(made, other)


def test_the_network_sees_the_reference_only_if_there_is_one_and_it_has_the_faces_shape():
    model, given = bundle(64), faces(20, 64).transpose(0, 3, 1, 2)
    audio = np.zeros(20 * 640, np.int16)
    itself = dub_faces(model, given, audio, DubOptions(steps=1), given)
    apart = dub_faces(model, given, audio, DubOptions(steps=1), np.roll(given, 10, axis=0))
    assert np.array_equal(itself, dub_faces(model, given, audio, DubOptions(steps=1)))
    assert not np.array_equal(itself, apart)
    with pytest.raises(ValueError, match="reference"):
        dub_faces(model, given, audio, DubOptions(steps=1), given[:10])
