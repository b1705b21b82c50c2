"""AVSyncNet: shapes and channels of the published sizes, what its cosine can be, its file."""

import pytest
import torch

from pipeline.errors import WeightsError
from trainers.systems.avsyncnet.configs import CONFIGS, AvSyncNetConfig
from trainers.systems.avsyncnet.files import (
    load_audio_tower,
    load_safetensors,
    save_audio_tower,
    save_safetensors,
)
from trainers.systems.avsyncnet.network import AvSyncNet
from trainers.systems.avsyncnet.sync_view import sync_view

RESNET_50 = 23_508_032
"""Parameters of torchvision's ResNet-50 without its classifier (25 557 032 with it)."""


def tiny():
    torch.manual_seed(0)
    return AvSyncNet(CONFIGS["tiny"]).eval()


def test_the_published_image_tower_is_a_resnet_50_of_five_frames_of_112_by_224():
    config = CONFIGS["paper"]
    with torch.device("meta"):
        network = AvSyncNet(config)
        assert network.embed_visual(torch.empty(2, 15, 112, 224)).shape == (2, 512)
        assert network.embed_audio(torch.empty(2, 1, 80, 16)).shape == (2, 512)
    first = network.image_tower.resnet.embedder.embedder.convolution
    assert first.weight.shape == (64, 15, 7, 7)
    found = sum(p.numel() for p in network.image_tower.resnet.parameters())
    assert found == RESNET_50 + 64 * 12 * 7 * 7


def test_the_published_audio_tower_has_34_layers():
    with torch.device("meta"):
        tower = AvSyncNet(CONFIGS["paper"]).audio_tower
    kernels = [p for p in tower.parameters() if p.ndim == 4 and p.shape[-1] == 3]
    assert len(kernels) + 1 == 34  # the linear layer is the last
    assert [len(tower.levels), tower.project.out_features] == [16, 512]


def test_cosines_lie_between_0_and_1():
    vision, audio = tiny()(torch.randn(4, 15, 32, 64), torch.randn(4, 1, 80, 16))
    cosines = vision @ audio.T
    assert ((cosines >= 0) & (cosines <= 1 + 1e-6)).all()
    torch.testing.assert_close(vision.norm(dim=1), torch.ones(4))


def test_windows_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="visual: windows of"):
        tiny().embed_visual(torch.zeros(1, 15, 64, 64))
    with pytest.raises(ValueError, match="mel: windows of"):
        tiny().embed_audio(torch.zeros(1, 1, 80, 52))


def test_the_view_is_the_lower_half_frame_by_frame():
    faces = torch.rand(2, 5, 3, 64, 64)
    view = sync_view(faces, 64)
    assert view.shape == (2, 15, 32, 64)
    assert torch.equal(view[1, 3 * 4 + 2], faces[1, 4, 2, 32:])
    assert sync_view(faces, 224).shape == (2, 15, 112, 224)


def test_files_give_the_network_and_its_audio_tower_back(tmp_path):
    network, mel = tiny(), torch.randn(3, 1, 80, 16)
    save_safetensors(tmp_path / "a.safetensors", network, {"steps": 3})
    save_audio_tower(tmp_path / "t.safetensors", network.audio_tower, network.config)
    read, tower = (
        load_safetensors(tmp_path / "a.safetensors").eval(),
        load_audio_tower(tmp_path / "t.safetensors").eval(),
    )
    assert torch.equal(read.embed_audio(mel), network.embed_audio(mel))
    assert torch.equal(tower.embed(mel), network.embed_audio(mel))
    with pytest.raises(WeightsError, match="not 'avsyncnet'"):
        load_safetensors(tmp_path / "t.safetensors")


def test_impossible_sizes_are_named():
    with pytest.raises(ValueError, match="image_depths"):
        AvSyncNetConfig(image_depths=(1, 1))
    with pytest.raises(ValueError, match="resolution: 63"):
        AvSyncNetConfig(resolution=63)
