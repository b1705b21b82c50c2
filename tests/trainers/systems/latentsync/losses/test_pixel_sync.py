"""What StableSyncNet sees of generated frames, and what its verdict costs."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.trainers.systems.latentsync.losses.golden_clips import GOLDEN
from trainers.systems.latentsync.losses.pixel_sync import pixel_sync_loss
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.network import StableSyncNet
from trainers.systems.stable_syncnet.sync_view import sync_view


def test_the_view_is_the_lower_half_frame_by_frame_with_colours_inside() -> None:
    video = torch.arange(2 * 3 * 16).float().reshape(2, 3, 16, 1, 1).expand(2, 3, 16, 256, 256)
    row = torch.arange(256).view(1, 1, 1, 256, 1) / 1000
    view = sync_view(video + row)
    assert view.shape == (2, 48, 128, 256)
    for clip, frame, colour in ((0, 0, 0), (0, 5, 2), (1, 15, 1)):
        seen = view[clip, frame * 3 + colour]
        assert seen[0, 0].item() == np.float32(clip * 48 + colour * 16 + frame) + np.float32(0.128)


def test_a_larger_picture_is_resized_bicubic_without_antialias_before_it_is_halved() -> None:
    video = torch.rand(1, 3, 2, 512, 512)
    flat = video.transpose(1, 2).reshape(2, 3, 512, 512)
    small = functional.interpolate(flat, (256, 256), mode="bicubic", align_corners=False)
    assert torch.equal(sync_view(video), small[:, :, 128:].reshape(1, 6, 128, 256))
    assert not torch.allclose(sync_view(video, antialias=True), sync_view(video), atol=0.01)


def test_the_loss_is_the_recorded_one_for_the_recorded_embeddings() -> None:
    with np.load(GOLDEN / "g2_small_attn.npz") as golden:
        vision, audio = (torch.from_numpy(golden[key]) for key in ("vision_embeds", "audio_embeds"))
        known = golden["bce_y1"].mean()
    pictures, mel = torch.zeros(3, 3, 16, 256, 256), torch.zeros(3, 1, 80, 52)
    loss_B = pixel_sync_loss(pictures, mel, lambda *_: (vision, audio))
    assert loss_B.shape == (3,)
    assert loss_B.mean().item() == pytest.approx(known, abs=1e-6)


def test_gradient_reaches_the_lower_half_only() -> None:
    video = torch.rand(1, 3, 16, 256, 256, requires_grad=True)
    weight = torch.rand(48, 8)

    def syncnet(pictures: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        return pictures.mean(dim=(2, 3)) @ weight, mel.flatten(1)[:, :8]

    pixel_sync_loss(video, torch.rand(1, 1, 80, 52), syncnet).sum().backward()
    assert video.grad is not None
    assert video.grad[..., :128, :].abs().sum() == 0
    assert (video.grad[..., 128:, :] != 0).all()


def test_the_clamp_is_off_unless_asked_for() -> None:
    vector = functional.normalize(torch.rand(4, 2048), dim=1)
    opposite = (torch.zeros(4, 3, 16, 256, 256), torch.zeros(4, 1, 80, 52))

    def syncnet(_pictures: Tensor, _mel: Tensor) -> tuple[Tensor, Tensor]:
        return vector, -vector

    assert pixel_sync_loss(*opposite, syncnet).isnan().all()
    assert torch.equal(pixel_sync_loss(*opposite, syncnet, clamp=True), torch.full((4,), 100.0))


def test_the_view_is_what_stable_syncnet_takes() -> None:
    config = CONFIGS["tiny"]
    syncnet = StableSyncNet(config).requires_grad_(False).eval()
    size = 2 * config.visual_shape[1]
    video = torch.rand(1, 3, 16, 256, 256, requires_grad=True)
    pixel_sync_loss(video, torch.rand(1, 1, 80, 52), syncnet, size=size).sum().backward()
    assert video.grad is not None
    assert video.grad.isfinite().all()
    assert video.grad[..., 128:, :].abs().sum() > 0
