"""StableSyncNet gives the numbers of the public code (golden G2), whatever way it is run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import ROOT
from tests.golden_rules import rule_state
from trainers.systems.stable_syncnet.configs import CONFIGS, PUBLISHED, StableSyncNetConfig
from trainers.systems.stable_syncnet.losses import cosine, cosine_bce
from trainers.systems.stable_syncnet.network import StableSyncNet

GOLDEN = ROOT / "tests" / "golden"
FULL = "syncnet_16_pixel_attn"


def golden_keys(path: Path) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in json.loads(path.read_text())["keys"]}


def with_rule_weights(config: StableSyncNetConfig) -> StableSyncNet:
    with torch.device("meta"):
        network = StableSyncNet(config)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    network.load_state_dict(rule_state(shapes), assign=True)
    return network


def golden_inputs(batch: int) -> tuple[Tensor, Tensor]:
    visual = np.random.default_rng(11).uniform(-1, 1, (batch, 48, 128, 256)).astype(np.float32)
    mel = np.random.default_rng(12).uniform(-1, 1, (batch, 1, 80, 52)).astype(np.float32)
    return torch.from_numpy(visual), 4 * torch.from_numpy(mel)


def random_inputs(config: StableSyncNetConfig, batch: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    visual = torch.rand(batch, *config.visual_shape, generator=draw) * 2 - 1
    return visual, 4 * torch.rand(batch, *config.mel_shape, generator=draw)


def tiny(gradient_checkpointing: bool = False) -> StableSyncNet:
    torch.manual_seed(0)
    return StableSyncNet(CONFIGS["tiny"], gradient_checkpointing)


def check_against_golden(network: StableSyncNet, name: str, batch: int) -> None:
    visual, mel = golden_inputs(batch)
    with np.load(GOLDEN / name) as golden, torch.inference_mode():
        vision, audio = network(visual, mel)
        pairs = cosine(vision, audio)
        found = {
            "vision_embeds": vision,
            "audio_embeds": audio,
            "cosine": pairs,
            "bce_y1": cosine_bce(pairs, torch.ones(batch)),
            "bce_y0": cosine_bce(pairs, torch.zeros(batch)),
        }
        for key, tensor in found.items():
            assert np.abs(tensor.numpy() - golden[key]).max() < 1e-5, key


def test_the_small_network_gives_the_public_codes_embeddings_cosines_and_losses() -> None:
    check_against_golden(with_rule_weights(CONFIGS["small"]), "g2_small_attn.npz", 3)


@pytest.mark.slow
def test_the_published_network_gives_the_public_codes_embeddings_cosines_and_losses() -> None:
    check_against_golden(with_rule_weights(PUBLISHED[FULL]), "g2_full_attn.npz", 2)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("syncnet_16_pixel_attn", 401_306_080),
        ("syncnet_16_pixel", 371_766_496),
        ("syncnet_16_latent", 65_544_416),
        ("syncnet_25_pixel", 103_742_144),
    ],
)
def test_keys_their_order_and_shapes_are_those_of_the_published_files(
    name: str, parameters: int
) -> None:
    with torch.device("meta"):
        network = StableSyncNet(PUBLISHED[name])
    found = [(key, tuple(tensor.shape)) for key, tensor in network.state_dict().items()]
    assert found == list(golden_keys(GOLDEN / f"g2_{name}_keys.json").items())
    assert sum(one.numel() for one in network.parameters()) == parameters


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_level_of_the_published_networks_has_the_published_size(name: str) -> None:
    recorded = json.loads((GOLDEN / "g2_stable_syncnet_results.json").read_text())[name]
    with torch.device("meta"):
        network = StableSyncNet(PUBLISHED[name])
        inputs = {
            "visual_encoder": torch.empty(1, *PUBLISHED[name].visual_shape),
            "audio_encoder": torch.empty(1, *PUBLISHED[name].mel_shape),
        }
    for tower, x in inputs.items():
        encoder = network.get_submodule(tower)
        sizes = []
        for layer in [encoder.conv_in, *encoder.down_blocks]:
            x = layer(x)
            sizes.append(list(x.shape))
        assert sizes == [out for _, _, out in recorded["shapes"][tower]]


@pytest.mark.parametrize("name", ["tiny", "syncnet_16_latent"])
def test_embeddings_are_unit_vectors_without_negative_components(name: str) -> None:
    torch.manual_seed(0)
    config = CONFIGS[name]
    with torch.inference_mode():
        for embedding in StableSyncNet(config)(*random_inputs(config, 2)):
            assert embedding.shape == (2, config.embedding_size)
            assert (embedding >= 0).all()
            torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))


def test_training_and_evaluation_mode_give_the_same_numbers() -> None:
    network, inputs = tiny(), random_inputs(CONFIGS["tiny"], 2)
    assert network.training
    with torch.inference_mode():
        assert all(map(torch.equal, network.train()(*inputs), network.eval()(*inputs)))


def test_gradient_checkpointing_changes_no_gradient() -> None:
    inputs, gradients = random_inputs(CONFIGS["tiny"], 2), []
    for checkpointing in (False, True):
        network = tiny(checkpointing)
        cosine_bce(cosine(*network(*inputs)), torch.tensor([1.0, 0.0])).mean().backward()
        gradients.append({key: one.grad for key, one in network.named_parameters()})
    assert all(torch.equal(gradients[0][key], gradients[1][key]) for key in gradients[0])


def test_gradient_checkpointing_keeps_fewer_bytes_for_the_way_back() -> None:
    kept = []
    for checkpointing in (False, True):
        sizes: list[int] = []
        network, inputs = tiny(checkpointing), random_inputs(CONFIGS["tiny"], 2)
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: (sizes.append(x.nbytes), x)[1], lambda x: x
        ):
            network(*inputs)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 5


def test_a_frozen_network_passes_gradients_to_the_pictures() -> None:
    network = tiny(gradient_checkpointing=True).requires_grad_(False)
    visual, mel = random_inputs(CONFIGS["tiny"], 1)
    cosine_bce(cosine(*network(visual.requires_grad_(), mel)), torch.ones(1)).mean().backward()
    assert visual.grad is not None
    assert visual.grad.abs().max() > 0


def test_bf16_autocast_gives_float32_unit_vectors_near_the_float32_ones() -> None:
    network, inputs = tiny(), random_inputs(CONFIGS["tiny"], 2)
    with torch.inference_mode():
        exact = network(*inputs)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(*inputs)
    for one, other in zip(exact, rough, strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(other.norm(dim=1), torch.ones(2))
        assert cosine(one, other).min() > 0.99


def test_channels_last_gives_the_same_embeddings() -> None:
    network, (visual, mel) = tiny(), random_inputs(CONFIGS["tiny"], 2)
    with torch.inference_mode():
        plain = network(visual, mel)
        network.to(memory_format=torch.channels_last)
        other = network(visual.to(memory_format=torch.channels_last), mel)
    for one, two in zip(plain, other, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=0)


def test_a_wrong_shape_is_named() -> None:
    network = tiny()
    with pytest.raises(ValueError, match=r"visual: \(1, 48, 64, 64\), needed \(B, 48, 32, 64\)"):
        network.embed_visual(torch.zeros(1, 48, 64, 64))
    with pytest.raises(ValueError, match=r"mel: \(1, 1, 80, 51\), needed \(B, 1, 80, 52\)"):
        network.embed_audio(torch.zeros(1, 1, 80, 51))


def test_the_tiny_network_learns_one_batch_by_heart() -> None:
    network = tiny()
    visual, mel = random_inputs(CONFIGS["tiny"], 4)
    pictures, labels = torch.cat([visual, visual.roll(1, 0)]), torch.tensor([1.0] * 4 + [0.0] * 4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        vision, audio = network.embed_visual(pictures), network.embed_audio(mel)
        loss = cosine_bce(cosine(vision, audio.repeat(2, 1)), labels, clamp=True).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.6
    assert losses[-1] < 0.1, losses
