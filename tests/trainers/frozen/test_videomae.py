"""VideoMAE-v2 from its public keys: recorded features, the giant's keys, saved memory."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden_rules import rule_state
from tests.trainers.systems.latentsync.losses.golden_clips import GOLDEN, KNOWN
from trainers.frozen.videomae import VideoMaeEncoder, VideoMaeSize, state_of_public


def shapes(name: str) -> dict[str, list[int]]:
    return dict(json.loads((GOLDEN / f"g6_videomae_{name}_keys.json").read_text())["keys"])


def rule_videomae() -> VideoMaeEncoder:
    """The small network of the golden features."""
    network = VideoMaeEncoder(VideoMaeSize(width=96, depth=2, heads=4, hidden=418))
    network.load_state_dict(state_of_public(rule_state(shapes("small"))))
    return network.eval().requires_grad_(False)


def rule_input() -> Tensor:
    values = np.random.default_rng(64).uniform(0, 1, (2, 3, 16, 224, 224))
    return torch.from_numpy(values).float()


def test_features_are_the_recorded_ones() -> None:
    with np.load(GOLDEN / "g6_losses.npz") as golden:
        known = golden["videomae_small_features"]
    assert np.abs(rule_videomae()(rule_input()).numpy() - known).max() <= 3e-6


def test_positions_are_the_recorded_ones() -> None:
    table = rule_videomae().model.embeddings.position_embeddings[0]
    assert table.shape == (2048, 96)
    known = KNOWN["videomae_pos"]
    assert table[1, :4].tolist() == pytest.approx(known["tok1_first4"], abs=1e-6)
    assert table[2047, -4:].tolist() == pytest.approx(known["tok2047_last4"], abs=1e-6)


def test_the_published_giant_fills_the_network_of_the_default_size() -> None:
    with torch.device("meta"):
        network = VideoMaeEncoder()
        published = {key: torch.empty(shape) for key, shape in shapes("giant").items()}
    state = state_of_public(published)
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in state.items()
    }
    head = 174 * 1408 + 174
    assert sum(value.numel() for value in state.values()) == 1_011_855_918 - head


def test_gradient_checkpointing_changes_no_number_even_in_eval_mode() -> None:
    network, clip = rule_videomae(), rule_input()[:1].requires_grad_(True)
    network(clip).square().sum().backward()
    assert clip.grad is not None
    plain, clip.grad = clip.grad, None
    network.gradient_checkpointing = True
    calls = []
    network.model.encoder.layer[0].register_forward_pre_hook(lambda *_: calls.append(1))
    network(clip).square().sum().backward()
    assert len(calls) == 2
    assert torch.equal(clip.grad, plain)


@pytest.mark.parametrize("key", ["blocks.0.attn.k_bias", "encoder.norm.weight", "blocks.0.gamma"])
def test_a_key_of_another_checkpoint_is_refused_by_name(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        state_of_public({key: torch.zeros(1)})
