"""Inception v3 of the FID: the published file's names and shapes, pytorch-fid's features."""

import numpy as np
import pytest
import torch

from pipeline.errors import WeightsError
from pipeline.weights.files import list_weights
from tests.golden_rules import rule_frames, rule_state
from trainers.frozen import registry as frozen
from trainers.frozen.inception_fid import InceptionFid

NUM_ENTRIES = 566
NUM_PARAMETERS = 23_850_960
"""torchvision's Inception v3 without the second classifier, with 1008 classes."""
GOLDEN_MEANS = [1.2497812509536743, 1.2314844131469727]
GOLDEN_FIRST = [
    *(5.8123393058776855, 1.3436729907989502, 0.10711047798395157),
    *(1.5543752908706665, 5.400686740875244, 0.00726300198584795),
]
"""Features of pytorch-fid 0.3.0 with torchvision 0.29.2, weights by rule R1, pictures by R2."""


@pytest.fixture(scope="module")
def network() -> InceptionFid:
    made = InceptionFid().eval()
    made.load_state_dict(rule_state({k: tuple(v.shape) for k, v in made.state_dict().items()}))
    return made


def test_it_has_the_entries_of_the_published_file(network):
    state = network.state_dict()
    assert len(state) == NUM_ENTRIES
    assert sum(parameter.numel() for parameter in network.parameters()) == NUM_PARAMETERS
    assert state["Conv2d_1a_3x3.conv.weight"].shape == (32, 3, 3, 3)
    assert state["Mixed_5b.branch1x1.conv.weight"].shape == (64, 192, 1, 1)
    assert state["Mixed_6b.branch7x7_2.conv.weight"].shape == (128, 128, 1, 7)
    assert state["Mixed_7a.branch7x7x3_4.bn.running_var"].shape == (192,)
    assert state["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert state["fc.weight"].shape == (1008, 2048)


@torch.inference_mode()
def test_its_features_are_those_of_pytorch_fid(network):
    frames = rule_frames(2, 96, 80, seed=5).transpose(0, 3, 1, 2)
    features = network(torch.from_numpy(np.ascontiguousarray(frames)).float() / 255)
    assert features.shape == (2, 2048)
    assert features.mean(dim=1).tolist() == pytest.approx(GOLDEN_MEANS, rel=1e-5)
    assert features[1, :6].tolist() == pytest.approx(GOLDEN_FIRST, rel=1e-4)


def test_the_stand_in_is_named_so_and_deterministic():
    one, two = (frozen.inception("stand-in:inception-2015-12-05") for _ in range(2))
    assert one.is_stand_in
    pictures = torch.rand(1, 3, 40, 40)
    assert torch.equal(one.network(pictures), two.network(pictures))


def test_an_absent_file_is_an_error_that_names_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="pt_inception-2015"):
        frozen.inception("inception-2015-12-05")


def test_its_file_has_a_source_a_licence_and_the_digest_its_name_begins():
    (entry,) = (one for one in list_weights() if one.name == frozen.INCEPTION_FILE)
    assert entry.sha256.startswith("6726825d")
    assert entry.licence
    assert entry.on_demand
    assert entry.location.startswith("https://")
