"""VGG-19's features: torchvision's names and shapes, the layers that are compared."""

import pytest
import torch

from trainers.frozen.vgg19 import Vgg19, load_public, small_vgg19

CONVOLUTIONS = {
    **{0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128)},
    **{12: (256, 256), 14: (256, 256), 16: (256, 256), 19: (512, 256)},
    **{21: (512, 512), 23: (512, 512), 25: (512, 512), 28: (512, 512)},
}
"""Place among torchvision's `features` -> channels out and in."""


def test_names_and_shapes_are_torchvisions():
    with torch.device("meta"):
        state = Vgg19().state_dict()
    weights = {name: tuple(value.shape) for name, value in state.items() if "weight" in name}
    expected = {f"features.{n}.weight": (*io, 3, 3) for n, io in CONVOLUTIONS.items()}
    assert weights == expected
    assert len(state) == 2 * len(weights)


def test_the_first_relu_of_each_block_is_seen():
    network = small_vgg19().eval()
    assert network.seen == [1, 6, 11, 20, 29]
    maps = network(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert [tuple(one.shape[1:]) for one in maps] == [
        (8, 32, 32),
        (16, 16, 16),
        (32, 8, 8),
        (64, 4, 4),
        (64, 2, 2),
    ]
    assert all((one >= 0).all() for one in maps)


def test_the_stand_ins_features_keep_their_size():
    torch.manual_seed(0)
    maps = small_vgg19().requires_grad_(False)(torch.rand(4, 3, 64, 64) * 2 - 1)
    assert all(0.1 < float(one.square().mean().sqrt()) < 10 for one in maps)


def test_a_published_file_fills_it_and_its_other_weights_are_left_out():
    source, target = small_vgg19(), small_vgg19()
    state = {**source.state_dict(), "features.30.weight": torch.zeros(1)}
    load_public(target, state)
    assert all(torch.equal(state[name], value) for name, value in target.state_dict().items())
    del state["features.28.bias"]
    with pytest.raises(KeyError, match=r"features\.28\.bias"):
        load_public(target, state)
