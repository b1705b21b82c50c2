"""The protocol's figures are those of its pairs."""

import numpy as np
import pytest
import torch

from tests.trainers.data.made_shards import write_shards
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls
from trainers.errors import TrainingDataError
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.network import StableSyncNet
from trainers.systems.stable_syncnet.protocol import evaluate_protocol


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return index_shards(shard_urls(write_shards(tmp_path_factory.mktemp("s"), [[40], [48]])), 32)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return StableSyncNet(CONFIGS["tiny"])


def test_pairs_are_half_in_sync_alike_many_a_clip_and_the_same_every_time(index, network):
    found = evaluate_protocol(network, index, pairs=12, seed=3)
    assert found == evaluate_protocol(network, index, pairs=12, seed=3)
    assert (found["pairs"], found["pairs_in_sync"], found["clips"]) == (12, 6, 2)
    assert {clip: one["pairs"] for clip, one in found["by_clip"].items()} == {
        "clip000": 6,
        "clip001": 6,
    }
    mean = np.mean([one["accuracy"] for one in found["by_clip"].values()])
    assert found["accuracy"] == pytest.approx(mean)
    assert found["loss"] > 0


def test_a_network_that_knows_nothing_is_right_half_of_the_time(index):
    class Constant(StableSyncNet):
        def forward(self, visual, mel):
            one = torch.ones(len(visual), 4) / 2
            return one, one

    found = evaluate_protocol(Constant(CONFIGS["tiny"]), index, pairs=8, seed=0)
    assert (found["accuracy"], found["auc"]) == (0.5, 0.5)
    assert found["cosine_in_sync"] == found["cosine_out_of_sync"] == 1


def test_nothing_to_measure_on_is_said(index, network):
    short = index_shards(index.urls, min_frames=100)
    with pytest.raises(TrainingDataError, match="no clip is long enough"):
        evaluate_protocol(network, short, pairs=8, seed=0)
    with pytest.raises(ValueError, match="1 pairs"):
        evaluate_protocol(network, index, pairs=1, seed=0)
