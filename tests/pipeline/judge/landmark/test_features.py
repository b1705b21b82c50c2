import numpy as np
import pytest

from pipeline.faces.schemas import INSIGHTFACE106
from pipeline.judge.landmark.features import centred, log_mel, mouth_shape, normalised
from pipeline.judge.landmark.points import face_points
from tests.pipeline.judge.talking import mesh, opening, speech


def test_mouth_shape_ignores_where_the_head_is_how_big_and_how_turned() -> None:
    face = mesh(opening(50)).astype(np.float64)
    angle = 0.4
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0],
                     [0, 0, 1]])  # fmt: skip
    moved = 1.7 * face @ turn + [40, -90, 5]
    assert mouth_shape(moved) == pytest.approx(mouth_shape(face), abs=1e-4)
    assert mouth_shape(face).shape == (50, 121)
    assert mouth_shape(face).dtype == np.float32


def test_centring_keeps_movement_and_drops_the_person() -> None:
    shape = mouth_shape(mesh(opening(60)))
    assert np.median(centred(shape), axis=0) == pytest.approx(0, abs=1e-6)
    assert centred(shape + 0.3) == pytest.approx(centred(shape), abs=1e-6)
    assert centred(shape).std() > 0.01


def test_a_video_frame_has_four_steps_of_forty_bands() -> None:
    assert log_mel(np.zeros(48000, np.int16), 75).shape == (300, 40)
    assert log_mel(np.zeros(100, np.int16), 75).shape == (300, 40)
    assert log_mel(np.zeros(99999, np.int16), 75).shape == (300, 40)


@pytest.mark.parametrize("frame", [10, 37, 74])
def test_step_4t_is_centred_on_the_start_of_frame_t(frame: int) -> None:
    sound = np.zeros(75 * 640)
    sound[frame * 640] = 0.5
    loudness = log_mel(sound, 75).sum(axis=1)
    loud = np.flatnonzero(loudness > loudness.min() + 1)
    assert loudness.argmax() == 4 * frame
    assert loud.min() >= 4 * frame - 1
    assert loud.max() <= 4 * frame + 1


def test_full_scale_and_loudness_do_not_matter() -> None:
    sound = speech(opening(75))
    as_float = sound.astype(np.float32) / 32768
    quiet = as_float * 0.05
    assert log_mel(as_float, 75) == pytest.approx(log_mel(sound, 75), abs=1e-4)
    assert normalised(log_mel(quiet, 75)) == pytest.approx(normalised(log_mel(sound, 75)), abs=1e-3)


def test_a_tone_falls_into_its_band() -> None:
    time = np.arange(16000) / 16000
    low = log_mel(0.3 * np.sin(2 * np.pi * 200 * time), 25)[50].argmax()
    high = log_mel(0.3 * np.sin(2 * np.pi * 6000 * time), 25)[50].argmax()
    assert low < 5
    assert high > 33


def test_silence_becomes_zeros_not_nan() -> None:
    mel = normalised(log_mel(np.zeros(32000, np.int16), 50))
    assert (mel == 0).all()
    assert np.isfinite(normalised(log_mel(np.full(32000, np.nan), 50))).all()


def test_hiss_is_not_blown_up_to_the_size_of_speech() -> None:
    hiss = np.random.default_rng(0).normal(size=32000) * 1e-3
    assert normalised(log_mel(hiss, 50)).std() <= 1.01


def test_sparse_landmarks_give_the_same_mouth() -> None:
    face = mesh(np.linspace(0, 1, 20))
    points = face_points(face)
    lips = (points.lips[:, :20], points.lips[:, 20:])
    sparse = np.zeros((20, 106, 3))
    layout = (INSIGHTFACE106.outer_lip, INSIGHTFACE106.inner_lip)
    for contour, mesh_TPC in zip(layout, lips, strict=True):
        positions = np.asarray(contour.positions)
        low = np.floor(positions).astype(int)
        share = (positions - low)[None, :, None]
        between = mesh_TPC[:, low] * (1 - share) + mesh_TPC[:, (low + 1) % 20] * share
        sparse[:, contour.points] = between
    sparse[:, 33:43] = points.left_eye[:, None]
    sparse[:, 87:97] = points.right_eye[:, None]
    sparse[:, INSIGHTFACE106.chin] = points.chin
    assert face_points(sparse).lips == pytest.approx(points.lips, abs=4)  # of 200 px
    both = np.corrcoef(centred(mouth_shape(sparse)).ravel(), centred(mouth_shape(face)).ravel())
    assert both[0, 1] > 0.98


@pytest.mark.parametrize("shape", [(10, 68, 3), (468, 3), (10, 468, 2)])
def test_unknown_landmarks_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="landmarks of shape"):
        mouth_shape(np.zeros(shape))


def test_landmarks_that_are_not_finite_are_refused() -> None:
    face = mesh(opening(10))
    face[3, 61, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        mouth_shape(face)
