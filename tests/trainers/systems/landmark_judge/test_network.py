"""The networks as they are trained (torch) against the same ones as `sync` runs them (ONNX)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import WeightsError
from pipeline.faces.litert import LiteRTBackend
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.weights import WEIGHTS_PATH, load_calibration
from pipeline.media.audio import decode_audio
from pipeline.media.frames import frames_at_25fps
from pipeline.tables.rows import SAMPLES_PER_FRAME
from tests.pipeline.judge.talking import mesh, speech, talking
from trainers.systems.landmark_judge.files import load_networks
from trainers.systems.landmark_judge.network import TorchNetworks

ROUNDING = 2e-6
"""Of float32 embeddings, in distances of 0 to 2: about 16 times the distance of 1.0 to its
neighbour."""
FRAMES = 100


@pytest.fixture(scope="module")
def trained() -> LandmarkJudge:
    return LandmarkJudge(TorchNetworks(load_networks(WEIGHTS_PATH)), load_calibration())


def assert_same(trained: LandmarkJudge, landmarks: NDArray[Any], sound: NDArray[Any]) -> None:
    one, two = trained.score(landmarks, sound), LandmarkJudge.load().score(landmarks, sound)
    np.testing.assert_allclose(two.distances, one.distances, rtol=0, atol=ROUNDING)
    assert two.offset_frames == one.offset_frames
    assert two.offset_subframe == pytest.approx(one.offset_subframe, abs=1e-4)
    assert two.probability == pytest.approx(one.probability, abs=5e-5)
    assert (one.drift_frames is None) == (two.drift_frames is None)


@pytest.mark.parametrize("frames", [11, 12, 75, 250])
def test_both_give_the_same_distances_whatever_the_length(
    trained: LandmarkJudge, frames: int
) -> None:
    assert_same(trained, *talking(frames, 3))


def test_both_give_the_same_distances_for_a_still_face(trained: LandmarkJudge) -> None:
    assert_same(trained, mesh(np.zeros(80)), speech(np.zeros(80)))


@pytest.mark.parametrize("name", ["syncnet_example.avi", "vasa1_10.mp4", "spkvid_side5.mp4"])
def test_both_give_the_same_answer_on_real_clips(
    trained: LandmarkJudge, shared: Path, name: str
) -> None:
    try:
        backend = LiteRTBackend()
    except WeightsError as error:
        pytest.skip(f"no face networks: {error}")
    found = []
    for frame, _ in zip(frames_at_25fps(shared / "clips" / name), range(FRAMES), strict=False):
        region = found[-1].points if found else backend.detect(frame)[0]
        found.append(backend.landmarks(frame, region))
    sound = decode_audio(shared / "clips" / name, 0.0, FRAMES * SAMPLES_PER_FRAME)
    assert_same(trained, np.stack([face.points for face in found]), sound)
