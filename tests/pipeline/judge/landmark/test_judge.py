import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import WeightsError
from pipeline.faces.litert import LiteRTBackend
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.networks import OnnxNetworks
from pipeline.judge.landmark.weights import (
    WEIGHTS_PATH,
    load_arrays,
    load_metadata,
    weights_sha256,
)
from pipeline.media.audio import decode_audio
from pipeline.media.frames import frames_at_25fps
from pipeline.tables.rows import SAMPLES_PER_FRAME
from tests.pipeline.judge.talking import mesh, opening, speech, talking

PINNED_SHA256 = "b71c20894c8b133803beffbc5f8a32b825c0050f622cef148cffd49cdf7e11f9"
EXAMPLE_FRAMES = 317


@pytest.fixture(scope="module")
def judge() -> LandmarkJudge:
    return LandmarkJudge.load()


@pytest.fixture(scope="module")
def example(shared: Path) -> NDArray[np.float32]:
    """Landmarks of the clip for which the official SyncNet's answer is published."""
    try:
        backend = LiteRTBackend()
    except WeightsError as error:
        pytest.skip(f"no face networks: {error}")
    found = []
    for frame in frames_at_25fps(shared / "clips" / "syncnet_example.avi"):
        region = found[-1].points if found else backend.detect(frame)[0]
        found.append(backend.landmarks(frame, region))
    return np.stack([face.points for face in found])


@cache
def sound_of(path: Path) -> NDArray[np.int16]:
    return decode_audio(path, 0.0, EXAMPLE_FRAMES * SAMPLES_PER_FRAME)


def test_the_weights_are_small_and_the_ones_this_version_was_measured_with() -> None:
    assert WEIGHTS_PATH.stat().st_size < 3_000_000
    assert weights_sha256() == PINNED_SHA256
    assert weights_sha256() == hashlib.sha256(WEIGHTS_PATH.read_bytes()).hexdigest()


def test_the_clips_with_a_published_answer_were_not_trained_on() -> None:
    trained_on = {name for name, _ in load_metadata()["clips"].values()}
    assert len(trained_on) > 40
    assert not [name for name in trained_on if "syncnet" in name]


def test_the_example_has_the_offset_that_the_official_syncnet_gives(
    judge: LandmarkJudge, example: NDArray[np.float32], shared: Path
) -> None:
    result = judge.score(example, sound_of(shared / "clips" / "syncnet_example.avi"))
    assert result.offset_frames == 3
    assert result.confidence > 0.15


def test_the_delayed_copy_of_the_example_is_seven_frames_later(
    judge: LandmarkJudge, example: NDArray[np.float32], shared: Path
) -> None:
    """Its frames are the example's; counted by number, as SyncNet does, the sound is 6.73 late.

    By its timestamps frame 1 is shown two frames later, so there the sound is 4.73 frames late.
    """
    early = judge.score(example, sound_of(shared / "clips" / "syncnet_example.avi"))
    late = judge.score(example, sound_of(shared / "clips" / "syncnet_example_off5.avi"))
    assert late.offset_subframe - early.offset_subframe == pytest.approx(-6.73, abs=0.6)
    assert late.offset_frames == early.offset_frames - 7


@pytest.mark.parametrize("lead", [-9, -4, 3, 8])
def test_moving_the_sound_of_a_real_clip_moves_the_offset(
    judge: LandmarkJudge, example: NDArray[np.float32], shared: Path, lead: int
) -> None:
    sound = sound_of(shared / "clips" / "syncnet_example.avi")
    still = judge.score(example, sound).offset_frames
    moved = np.roll(sound, -lead * SAMPLES_PER_FRAME)
    assert judge.score(example, moved).offset_frames == still + lead


def test_a_real_face_is_judged_with_confidence_and_with_foreign_sound_without(
    judge: LandmarkJudge, example: NDArray[np.float32], shared: Path
) -> None:
    own = judge.score(example, sound_of(shared / "clips" / "syncnet_example.avi"))
    foreign = judge.score(example, sound_of(shared / "clips" / "edtalk_pose2_60s.mp4"))
    assert own.confidence > 2 * foreign.confidence


@pytest.mark.parametrize("lead", [-8, -3, 0, 5, 11])
def test_a_made_up_face_moves_the_offset_with_the_sound(judge: LandmarkJudge, lead: int) -> None:
    still = judge.score(*talking(150)).offset_frames
    moved = judge.score(*talking(150, lead)).offset_frames
    assert abs(moved - still - lead) <= 1


def test_three_seconds_are_enough_to_be_judged(judge: LandmarkJudge) -> None:
    landmarks, sound = talking(75)
    result = judge.score(landmarks, sound)
    assert result.distances.shape == (65, 31)
    assert np.isfinite(result.curve).all()
    assert result.curve.shape == (31,)


def test_only_what_picture_and_sound_share_is_judged(judge: LandmarkJudge) -> None:
    landmarks, sound = talking(100)
    assert len(judge.score(landmarks, sound[: 60 * 640 + 639]).distances) == 50
    assert len(judge.score(landmarks[:50], sound).distances) == 40


PRINT_DIGEST = """
import hashlib
from pipeline.judge.landmark.judge import LandmarkJudge
from tests.pipeline.judge.talking import talking
distances = LandmarkJudge.load().score(*talking(250)).distances
print(hashlib.sha256(distances.tobytes()).hexdigest())
"""


def test_the_same_clip_gives_the_same_bits_whatever_the_threads(judge: LandmarkJudge) -> None:
    here = hashlib.sha256(judge.score(*talking(250)).distances.tobytes()).hexdigest()
    for threads in ("1", "4"):
        wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        command = [sys.executable, "-c", PRINT_DIGEST]
        there = subprocess.check_output(command, env={**os.environ, **wanted}, text=True)
        assert there.strip() == here


COUNT_THREADS = """
import os
import onnx, onnxruntime
from pipeline.judge.landmark.judge import LandmarkJudge
from tests.pipeline.judge.talking import talking
before = len(os.listdir("/proc/self/task"))
judge = LandmarkJudge.load()
judge.score(*talking(250))
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_judging_starts_no_thread() -> None:
    assert subprocess.check_output([sys.executable, "-c", COUNT_THREADS], text=True).strip() == "0"


def test_embeddings_are_unit_vectors(judge: LandmarkJudge) -> None:
    for vectors in judge.embed(*talking(75)):
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("frames", [11, 30, 75])
def test_silence_gives_numbers_and_little_confidence(judge: LandmarkJudge, frames: int) -> None:
    result = judge.score(mesh(opening(frames)), np.zeros(frames * 640, np.int16))
    assert np.isfinite(result.curve).all()
    assert result.confidence < 1e-4
    assert result.offset_frames == 0


def test_a_still_face_gives_numbers_and_little_confidence(judge: LandmarkJudge) -> None:
    result = judge.score(mesh(np.zeros(100)), speech(opening(100)))
    assert np.isfinite(result.curve).all()
    assert result.confidence < 0.02


def test_nothing_to_judge_is_said_so(judge: LandmarkJudge) -> None:
    with pytest.raises(ValueError, match="10 frames with sound, 11 needed"):
        judge.score(mesh(opening(50)), np.zeros(11 * 640 - 1, np.int16))


def test_missing_or_broken_weights_are_a_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        weights_sha256(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError):
        LandmarkJudge.load(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(WEIGHTS_PATH.read_bytes()[:1000])
    with pytest.raises(WeightsError):
        LandmarkJudge.load(broken)


def test_an_array_too_many_or_too_few_is_a_weights_error() -> None:
    arrays = dict(load_arrays()[0])
    with pytest.raises(WeightsError, match=r"not of its networks: \['visual.9.bias'\]"):
        OnnxNetworks([{**arrays, "visual.9.bias": arrays["visual.3.bias"]}])
    del arrays["audio.5.weight"]
    with pytest.raises(WeightsError, match=r"no 'audio.5.weight' inside"):
        OnnxNetworks([arrays])
