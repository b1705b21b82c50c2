"""Our judge against the package syncnet-python itself, on the same weights, pictures and sound."""

import numpy as np
import pytest

from benchmarks.reference import NotInstallableError, SyncNetPython
from pipeline.judge.syncnet.judge import SyncNetJudge
from pipeline.judge.syncnet.network import SyncNet
from tests.golden_rules import rule_frames, rule_sound
from tests.pipeline.judge.syncnet.golden_syncnet import TOLERANCE, state

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:kernel_size exceeds")]


@pytest.mark.parametrize("variant", ["tweaked", "plain"])
@pytest.mark.parametrize(
    ("frames", "seconds", "seed"), [(40, 1.6, 0), (60, 2.0, 5), (30, 1.99, 6), (6, 0.3, 7)]
)
def test_the_package_gives_the_same_numbers(
    variant: str, frames: int, seconds: float, seed: int
) -> None:
    pictures, sound = rule_frames(frames, 224, 224, seed), rule_sound(seconds, seed + 1)
    try:
        reference = SyncNetPython(state(variant))
    except NotInstallableError as error:
        pytest.skip(f"no package to compare with: {error}")
    network = SyncNet()
    network.load_state_dict(state(variant))
    offset, confidence, min_distance = reference.score(list(pictures), sound)
    ours = SyncNetJudge(network.eval()).score(pictures, sound)
    assert ours.offset_frames == offset
    assert ours.confidence == pytest.approx(confidence, abs=TOLERANCE[variant])
    assert ours.min_distance == pytest.approx(min_distance, abs=TOLERANCE[variant])
    assert np.isfinite(ours.distances).all()
