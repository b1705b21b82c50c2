"""What the U-Net is told about the picture."""

import torch

from trainers.frozen import registry as frozen
from trainers.systems.latentsync.conditions import conditions, decoded, encoded, latent_mask
from trainers.talking_face.masks import keep_mask

VAE = frozen.vae("stand-in:sd-vae-ft-mse").network


def clips(seed):
    return torch.rand(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def generators():
    return [torch.Generator().manual_seed(seed) for seed in (1, 2)]


def test_what_the_faces_show_in_the_hole_cannot_be_told():
    keep = keep_mask(64)
    faces, other = clips(0), clips(1)
    changed = torch.where(keep[:, :, None].bool(), faces, other)
    told = conditions(VAE, faces, clips(2), keep, generators())
    assert torch.equal(told, conditions(VAE, changed, clips(2), keep, generators()))
    outside = torch.where(keep[:, :, None].bool(), other, faces)
    assert not torch.equal(told, conditions(VAE, outside, clips(2), keep, generators()))


def test_channels_are_mask_masked_faces_reference():
    keep = keep_mask(64)
    told = conditions(VAE, clips(0), clips(2), keep)
    assert told.shape == (2, 9, 3, 8, 8)
    assert torch.equal(told[1, 0, 2], latent_mask(keep)[0, 0])
    assert torch.equal(told[:, 1:5], encoded(VAE, clips(0) * keep[:, :, None]))
    assert torch.equal(told[:, 5:], encoded(VAE, clips(2)))


def test_a_clip_has_the_same_latents_alone_and_in_a_batch():
    both = encoded(VAE, clips(0), generators())
    alone = encoded(VAE, clips(0)[1:], generators()[1:])
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both, encoded(VAE, clips(0)))  # drawn, not the mean


def test_decoding_keeps_the_order_of_clips_and_frames():
    blocks = frozen.vae("stand-in:blocks").network
    flat = torch.linspace(-0.8, 0.8, 6).view(2, 1, 3, 1, 1).expand(2, 3, 3, 64, 64)
    assert torch.allclose(decoded(blocks, encoded(blocks, flat)), flat, atol=1e-3)


def test_clips_are_decoded_one_by_one(monkeypatch):
    blocks, sizes = frozen.vae("stand-in:blocks").network, []
    decode = blocks.decode
    monkeypatch.setattr(
        blocks, "decode", lambda latents: (sizes.append(len(latents)), decode(latents))[1]
    )
    assert decoded(blocks, torch.zeros(2, 4, 3, 8, 8)).shape == (2, 3, 3, 64, 64)
    assert sizes == [3, 3]


def test_the_latents_mask_is_every_eighth_pixel():
    assert latent_mask(keep_mask(256)).shape == (1, 1, 32, 32)
    assert torch.equal(latent_mask(keep_mask(256))[0, 0, 3], keep_mask(256)[0, 0, 24, ::8])
