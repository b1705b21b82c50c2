"""A U-Net that starts from nothing gives its noisy input back at first."""

import pytest
import torch

from trainers.systems.latentsync.configs import UNetConfig
from trainers.systems.latentsync.identity_start import initialize_as_identity
from trainers.systems.latentsync.network import LatentSyncUNet


@pytest.mark.parametrize("widths", [(32, 32, 32, 32), (64, 32, 32, 32)])
@pytest.mark.parametrize("motion", ["none", "all"])
def test_the_first_prediction_is_the_noisy_input_whatever_else_goes_in(widths, motion):
    torch.manual_seed(0)
    unet = LatentSyncUNet(UNetConfig(widths=widths, motion=motion))
    initialize_as_identity(unet)
    latents = torch.randn(1, 13, 4, 8, 8)
    latents[:, 4:] *= 3
    with torch.no_grad():
        said = unet(latents, 500, torch.randn(1, 4, 50, 384))
    both = torch.stack([said.flatten(), latents[:, :4].flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.99
    assert float(said.std()) == pytest.approx(1, abs=0.1)


def test_every_layer_learns_within_two_steps():
    torch.manual_seed(0)
    unet = LatentSyncUNet(UNetConfig(widths=(32, 32, 32, 32), motion="none"))
    initialize_as_identity(unet)
    optimizer = torch.optim.SGD(unet.parameters(), lr=0.1)
    latents, sound = torch.randn(1, 13, 4, 8, 8), torch.randn(1, 4, 50, 384)
    for _ in range(2):
        optimizer.zero_grad()
        (unet(latents, 500, sound) - latents[:, 9:]).square().mean().backward()
        optimizer.step()
    silent = [name for name, p in unet.named_parameters() if not p.grad.abs().sum() > 0]
    idle = [name for name in silent if "mid_block.attentions" not in name]  # one place: no choice
    assert idle == []
