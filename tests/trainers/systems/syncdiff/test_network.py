"""The published shapes: channels, bottleneck, and the sound's vector."""

import pytest
import torch

from trainers.frozen.av_hubert import SMALL as SMALL_HUBERT
from trainers.frozen.av_hubert import AvHubertLayers
from trainers.systems.syncdiff.configs import CONFIGS, NetworkSizes, SyncDiffConfig
from trainers.systems.syncdiff.files import load_safetensors, save_safetensors
from trainers.systems.syncdiff.hearing import AvHubertHearing, MelHearing
from trainers.systems.syncdiff.network import SyncDiffNetwork


def paper(**changes):
    config = SyncDiffConfig(**{"sizes": CONFIGS["ldm"], "latent_channels": 3, **changes})
    with torch.device("meta"):
        return SyncDiffNetwork(config, MelHearing())


def shapes(module):
    return {name: tuple(one.shape) for name, one in module.named_parameters()}


def test_ten_channels_go_in_and_three_come_out():
    network = paper()
    assert shapes(network.unet)["conv_in.weight"] == (224, 10, 3, 3)
    assert shapes(network.unet)["conv_out.weight"] == (3, 224, 3, 3)


def test_the_bottleneck_is_one_convolution_of_one_pixel_from_three_channels_to_one():
    network = paper(pose_norm="none")
    assert shapes(network.bottleneck) == {"conv.weight": (1, 3, 1, 1), "conv.bias": (1,)}
    assert sum(one.numel() for one in network.bottleneck.parameters()) == 4
    assert shapes(paper().bottleneck).keys() - shapes(network.bottleneck).keys() == {
        "norm.weight",
        "norm.bias",
    }


@pytest.mark.parametrize(("pose", "channels"), [("bottleneck", 10), ("direct", 12), ("none", 9)])
def test_the_frame_before_passes_the_bottleneck_or_comes_as_it_is_or_not(pose, channels):
    network = paper(pose=pose)
    assert network.unet.conv_in.in_channels == channels
    assert hasattr(network, "bottleneck") == (pose == "bottleneck")


def test_keys_and_values_of_every_cross_attention_are_768_wide():
    layers = {n: one for n, one in paper().unet.named_modules() if n.endswith("attn2")}
    assert layers
    for layer in layers.values():
        assert layer.to_k.in_features == layer.to_v.in_features == 768


@pytest.mark.parametrize("pose", ["bottleneck", "direct", "none"])
def test_the_answer_depends_on_the_frame_before_where_there_is_a_pose(pose):
    sizes = NetworkSizes(widths=(32, 32), heads=(2, 2), attention=(True, False), layers_per_block=1)
    torch.manual_seed(0)
    network = SyncDiffNetwork(
        SyncDiffConfig(sizes=sizes, latent_channels=3, pose=pose), MelHearing()
    ).eval()
    torch.nn.init.normal_(network.unet.conv_out.weight)
    noisy, still, sound = torch.randn(1, 3, 8, 8), torch.randn(1, 6, 8, 8), torch.randn(1, 1, 260)
    with torch.no_grad():
        answers = [
            network(noisy, 500, still, before, network.heard(sound))
            for before in torch.randn(2, 1, 3, 8, 8)
        ]
    assert torch.equal(*answers) == (pose == "none")


@pytest.mark.parametrize("audio", ["mel", "stand-in:av-hubert-11"])
def test_a_network_is_read_back_as_it_was_written(tmp_path, audio):
    sizes = NetworkSizes(widths=(32, 32), heads=(2, 2), attention=(True, False), layers_per_block=1)
    config = SyncDiffConfig(sizes=sizes, latent_channels=3)
    hearing = MelHearing() if audio == "mel" else AvHubertHearing(AvHubertLayers(11, SMALL_HUBERT))
    network = SyncDiffNetwork(config, hearing)
    save_safetensors(tmp_path / "a.safetensors", network, audio)
    again = load_safetensors(tmp_path / "a.safetensors")
    assert again.config == config
    found = again.state_dict()
    assert all(torch.equal(one, found[name]) for name, one in network.state_dict().items())
