"""Lossless latents: pixels of blocks as channels."""

import torch

from trainers.frozen import registry
from trainers.talking_face.masks import keep_mask


def pictures(seed=0):
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_nothing_is_lost_and_nothing_has_to_be_fetched():
    vae = registry.vae("pixels-8")
    latents = vae.network.encode(pictures())
    assert latents.shape == (2, vae.network.channels, 8, 8) == (2, 192, 8, 8)
    assert torch.equal(vae.network.decode(latents), pictures())
    assert not vae.is_stand_in
    assert vae.sha256 == {}


def test_the_gradient_passes_the_decoder():
    latents = registry.vae("pixels-8").network.encode(pictures()).requires_grad_()
    registry.vae("pixels-8").network.decode(latents).sum().backward()
    assert bool((latents.grad != 0).all())


def test_a_region_of_the_picture_is_the_same_region_of_the_latents():
    vae = registry.vae("pixels-8").network
    hole = 1 - keep_mask(64)
    share = vae.share_of(hole)
    inside = vae.encode(pictures() * hole)
    assert torch.equal((inside != 0), (vae.encode(pictures()) != 0) & share.bool())
    assert int(share.sum()) == 3 * int(hole.sum())


def test_of_other_latents_a_region_is_the_share_of_its_pixels():
    hole = 1 - keep_mask(64)
    share = registry.vae("stand-in:blocks").network.share_of(hole)
    assert share.shape == (1, 4, 8, 8)
    assert torch.allclose(share.mean(), hole.mean())
