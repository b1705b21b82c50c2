"""Models that go on from their own last frame: its order, its start, and what a stop costs."""

import numpy as np
import pytest
import torch

from tests.trainers.dubbing.scene import LEFT, RIGHT, Squares, film, voice
from tests.trainers.talking_face.frame_wise import FrameWiseModel, lower_half
from trainers.data.pixel_range import to_bytes, to_signed
from trainers.dubbing import provenance
from trainers.dubbing import video_dubbing as module
from trainers.dubbing.face_generation import FaceDubber, dub_faces
from trainers.dubbing.video_dubbing import dub_video
from trainers.dubbing.video_options import VideoOptions
from trainers.talking_face.model import DubOptions

OPTIONS = DubOptions(reference="first", overlap_frames=0)


def faces(count, size_px=64):
    return np.random.default_rng(0).integers(0, 256, (count, 3, size_px, size_px), np.uint8)


def sound(frames):
    return np.random.default_rng(1).integers(-9000, 9000, frames * 640).astype(np.int16)


def slow_loop(given_TCHW, audio_N, first_CHW):
    """One frame after the other, each from the one before, the first from its true face."""
    model, made = FrameWiseModel(), []
    generator = model.generator(audio_N, OPTIONS)
    faces_TCHW = to_signed(torch.from_numpy(given_TCHW))
    shown_1CHW = to_signed(torch.from_numpy(first_CHW))[None]
    for number, face_CHW in enumerate(faces_TCHW):
        previous_CHW = made[-1] if made else face_CHW
        made += generator.generate(face_CHW[None], number, shown_1CHW, previous_CHW)
    return to_bytes(torch.stack(made)).numpy()


def test_dubbed_faces_are_those_of_a_loop_over_the_frames():
    given, audio = faces(23), sound(23)
    made = dub_faces(FrameWiseModel(), given, audio, OPTIONS)
    assert np.array_equal(made, slow_loop(given, audio, given[0]))
    kept = lower_half(64)[0, 0].bool().numpy()
    assert np.array_equal(made[..., kept], given[..., kept])


def test_of_given_pictures_the_first_is_shown_throughout():
    given, other, audio = faces(9), faces(18)[9:], sound(9)
    made = dub_faces(FrameWiseModel(), given, audio, OPTIONS, other)
    assert np.array_equal(made, slow_loop(given, audio, other[0]))


@pytest.mark.parametrize("count", [1, 4, 9, 10])
def test_windows_of_several_frames_go_on_from_the_last_one_whatever_is_left_at_the_end(count):
    given, audio, model = faces(count), sound(count), FrameWiseModel(frames=4)
    made = dub_faces(model, given, audio, OPTIONS)
    assert np.array_equal(made, slow_loop(given, audio, given[0]))
    assert model.starts == list(range(0, count, 4))


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("first", [0, 5, 8, 21])
def test_an_interval_goes_on_from_a_state_with_the_same_faces(first, window):
    given = np.ascontiguousarray(faces(22).transpose(0, 2, 3, 1))
    model = FrameWiseModel(frames=window)
    generator = model.generator(sound(22), OPTIONS)

    def dubber(state=None):
        return FaceDubber(
            generator, 0, 22, 0, first, reference="first", state=state, keep_states=True
        )

    whole = dubber()
    made = [one for face in given for one in whole.push(face)]
    early = dubber()
    for face in given[: first + window - 1]:
        early.push(face)
    state = early.state_at(first)
    assert (state is None) == (first < window)
    late = dubber(state)
    assert late.takes_from == (state.frame if state else 0) > first - window
    rest = [one for face in given[late.takes_from :] for one in late.push(face)]
    wanted = rest[first - late.returns_from :]
    assert all(torch.equal(a, b) for a, b in zip(wanted, made[first:], strict=True))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    there = lambda n: not 12 <= n < 30  # noqa: E731
    folder = tmp_path_factory.mktemp("film")
    voice(folder / "a.wav", 50)
    return film(folder / "v.mp4", 50, {LEFT: there, RIGHT: lambda n: n > 3})


@pytest.fixture
def scene(monkeypatch, tmp_path, clip):
    monkeypatch.setattr(module, "open_backend", lambda params: Squares([LEFT, RIGHT]))
    monkeypatch.setattr(provenance, "weights_of", lambda params: {})
    return clip, tmp_path


def dub(scene, model, name, **options):
    video, folder = scene
    sound_of_video = video.with_name("a.wav")
    given = VideoOptions(dub=OPTIONS, faces="all", part_seconds=0.6, **options)
    return dub_video(video, sound_of_video, folder / name, model, given)


@pytest.mark.parametrize(("window", "stop_after"), [(1, 3), (1, 50), (4, 16)])
def test_a_stopped_run_goes_on_with_the_same_bytes_and_makes_no_finished_frame_again(
    scene, stop_after, window
):
    dub(scene, FrameWiseModel(frames=window), "whole.mp4")
    stopped = FrameWiseModel(frames=window, stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        dub(scene, stopped, "stopped.mp4")
    again = FrameWiseModel(frames=window)
    result = dub(scene, again, "stopped.mp4")
    folder = scene[1]
    assert (folder / "stopped.mp4").read_bytes() == (folder / "whole.mp4").read_bytes()
    assert min(again.starts) > result.resumed_frames - window
    assert not (folder / "stopped.mp4.parts").exists()


def test_a_lost_state_costs_time_only(scene):
    dub(scene, FrameWiseModel(), "whole.mp4")
    with pytest.raises(KeyboardInterrupt):
        dub(scene, FrameWiseModel(stop_after=50), "stopped.mp4")
    (state,) = scene[1].glob("stopped.mp4.parts/*/part-*.npz")
    state.unlink()
    again = FrameWiseModel()
    result = dub(scene, again, "stopped.mp4")
    assert result.resumed_frames == 30
    began = [one.start_frame for one in result.faces if one.start_frame < 30 < one.end_frame]
    assert min(again.starts) == began[-1], "its interval is made from its beginning"
    assert (scene[1] / "stopped.mp4").read_bytes() == (scene[1] / "whole.mp4").read_bytes()
