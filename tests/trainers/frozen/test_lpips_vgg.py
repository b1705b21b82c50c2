"""LPIPS-VGG: public keys, recorded distances, finite gradients."""

import json

import pytest
import torch

from tests.golden_rules import rule_weight
from tests.trainers.systems.latentsync.losses.golden_clips import (
    GOLDEN,
    KNOWN,
    noisy_clip,
    real_clip,
)
from trainers.data.frame_views import frames_of
from trainers.frozen.lpips_vgg import LpipsVgg, load_public
from trainers.systems.stable_syncnet.pairs import lower_half

SHAPES = dict(json.loads((GOLDEN / "g6_lpips_vgg_keys.json").read_text())["keys"])
NARROW = (4, 4, 8, 8, 8)


def rule_lpips() -> LpipsVgg:
    """The network of the golden distances: rule weights, the 1 x 1 ones made positive."""
    network = LpipsVgg().eval().requires_grad_(False)
    state = network.state_dict()
    for key, shape in SHAPES.items():
        if not key.startswith("scaling_layer"):
            weight = rule_weight(key, shape)
            state[key] = weight.abs() if key.startswith("lin") else weight
    network.load_state_dict(state)
    return network


def test_keys_order_and_shapes_are_the_public_ones() -> None:
    with torch.device("meta"):
        state = LpipsVgg().state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == SHAPES
    assert list(state) == list(SHAPES)


def test_distances_are_the_recorded_ones() -> None:
    noisy, real = (lower_half(frames_of(clip[:, :, :2])) for clip in (noisy_clip(), real_clip()))
    distance = rule_lpips()(noisy, real)
    assert distance.tolist() == pytest.approx(KNOWN["lpips_lower_half"]["per_image"], abs=1e-7)


def test_the_two_public_files_fill_the_network() -> None:
    source, target = LpipsVgg(NARROW), LpipsVgg(NARROW)
    state = source.state_dict()
    vgg16 = {
        "features." + key.split(".", 2)[2]: value
        for key, value in state.items()
        if key.startswith("net.")
    }
    lins = {key: value for key, value in state.items() if key.startswith("lin") and key[3] != "s"}
    load_public(target, vgg16 | {"classifier.0.weight": torch.zeros(1)}, lins)
    assert all(torch.equal(value, target.state_dict()[key]) for key, value in state.items())
    with pytest.raises(KeyError, match="features"):
        load_public(target, {}, lins)


def test_a_picture_without_any_feature_has_a_finite_gradient() -> None:
    network = LpipsVgg(NARROW).requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.zero_()
    mean = network.scaling_layer.shift.expand(1, 3, 16, 16).clone().requires_grad_(True)
    network(mean, torch.ones(1, 3, 16, 16)).sum().backward()
    assert mean.grad is not None
    assert mean.grad.isfinite().all()


def test_half_precision_inside_leaves_the_distance_in_float32() -> None:
    network = LpipsVgg(NARROW).requires_grad_(False)
    torch.manual_seed(0)
    one, other = torch.rand(2, 1, 3, 32, 32)
    exact = network(one, other)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(one, other)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)
