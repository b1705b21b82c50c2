"""The golden rules give the numbers that the golden files record."""

import hashlib
import json

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.golden_rules import rule_frames, rule_sound, rule_weight

GOLDEN = ROOT / "tests" / "golden"
CHECK = json.loads((GOLDEN / "weights_rule_check.json").read_text())


@pytest.mark.parametrize("key", CHECK)
def test_rule_weights_are_the_recorded_ones(key: str) -> None:
    weight = rule_weight(key, CHECK[key]["shape"])
    assert weight.flatten()[:4].tolist() == CHECK[key]["first4"]
    assert weight.double().sum().item() == pytest.approx(CHECK[key]["sum"], abs=1e-6)


def test_rule_pictures_are_the_recorded_ones() -> None:
    known = json.loads((GOLDEN / "g1_syncnet_results.json").read_text())["input_sha256"]["frames"]
    frames = rule_frames(40, 224, 224, 0)
    assert hashlib.sha256(frames.tobytes()).hexdigest() == known
    with np.load(GOLDEN / "g1_inputs.npz") as inputs:
        assert (frames[::8, ::16, ::16] == inputs["frames_sub"]).all()


def test_rule_sound_is_the_recorded_one() -> None:
    with np.load(GOLDEN / "g1_inputs.npz") as inputs:
        assert np.abs(rule_sound(1.6, 1).astype(int) - inputs["audio_int16"]).max() <= 1
