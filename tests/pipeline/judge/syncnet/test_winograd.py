"""Winograd's convolution against the direct one."""

import pytest
import torch
from torch import nn

from pipeline.judge.syncnet.network import FastTower
from pipeline.judge.syncnet.winograd import WinogradConv2d, suits
from tests.pipeline.judge.syncnet.golden_syncnet import network


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "height", "width"),
    [
        (3, 1, 1, 13, 13),  # conv3 to conv5 of the lip branch
        (3, 1, 1, 11, 9),  # of the sound branch
        (5, 2, 1, 54, 54),  # conv2 of the lip branch
        (3, 1, 0, 3, 7),
        (6, 2, 0, 17, 9),
        (5, 2, 3, 10, 11),
    ],
)
def test_it_computes_the_convolution(
    kernel: int, stride: int, padding: int, height: int, width: int
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 12, kernel, stride, padding).requires_grad_(False)
    planes = torch.randn(3, 8, height, width)
    expected = layer.double()(planes.double())
    found = WinogradConv2d(layer.float())(planes)
    assert found.shape == expected.shape
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=0)


def test_only_square_strides_and_kernels_of_up_to_three_of_them_suit() -> None:
    assert suits(nn.Conv2d(4, 4, 3))
    assert suits(nn.Conv2d(4, 4, 5, 2))
    assert not suits(nn.Conv2d(4, 4, 7, 2))
    assert not suits(nn.Conv2d(4, 4, 1))
    assert not suits(nn.Conv2d(4, 4, (3, 5)))
    assert not suits(nn.Conv2d(4, 4, 5, (2, 1)))
    assert not suits(nn.Linear(4, 4))


@pytest.mark.parametrize(("branch", "count"), [("lip", 4), ("sound", 3)])
def test_the_judge_s_towers_use_it_only_on_request(branch: str, count: int) -> None:
    build = getattr(FastTower, branch)
    for asked, expected in ((True, count), (False, 0)):
        layers = build(network("tweaked"), asked).modules()
        assert sum(isinstance(layer, WinogradConv2d) for layer in layers) == expected


def test_the_lips_tower_computes_the_published_layers_with_it_in_parts_and_on_a_view() -> None:
    net = network("tweaked")
    frames = 255 * torch.rand(2, 3, 5, 224, 224, generator=torch.Generator().manual_seed(0))
    wide = torch.full((2, 224, 224, 20), 7.0)  # the sixteenth channel counts for nothing
    wide[..., :15] = frames.permute(0, 3, 4, 2, 1).flatten(3)
    with torch.inference_mode():
        found = FastTower.lip(net, winograd=True)(wide[..., :16].permute(0, 3, 1, 2), at_once=1)
        torch.testing.assert_close(found, net.forward_lip(frames), atol=1e-3, rtol=0)
