"""The autoencoders of Stable Diffusion's latents."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.media.frames import frames_at_25fps
from tests.golden_rules import rule_frames
from trainers.frozen import registry as frozen
from trainers.frozen.latent_vae import KlVae, LatentVae, sd_vae, sd_vae_state

NAMES = ["stand-in:sd-vae-ft-mse", "stand-in:taesd", "stand-in:blocks"]
KL = frozen.vae("stand-in:sd-vae-ft-mse").network
assert isinstance(KL, KlVae)


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", NAMES)
def test_one_latent_stands_for_8_by_8_pixels_and_decoding_has_a_gradient(name: str) -> None:
    vae = frozen.vae(name).network
    latents = vae.encode(pictures())
    assert latents.shape == (2, 4, 4, 4)
    assert not latents.requires_grad
    latents.requires_grad_(True)
    made = vae.decode(latents)
    assert made.shape == (2, 3, 32, 32)
    made.sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0


def test_the_posterior_is_sampled_by_the_generator_alone_and_in_any_batch() -> None:
    def sample(seed: int, part: slice = slice(None)) -> Tensor:
        return KL.encode(pictures()[part], torch.Generator().manual_seed(seed))

    assert torch.equal(sample(1), sample(1))
    assert not torch.equal(sample(1), sample(2))
    assert torch.allclose(sample(1, slice(0, 1)), sample(1)[:1], atol=1e-6)
    assert not torch.equal(sample(1), KL.encode(pictures()))


def test_a_sample_is_the_mean_plus_noise_of_the_posteriors_deviation() -> None:
    posterior = KL.model.encode(pictures()).latent_dist
    noise = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(5))
    sample = KL.encode(pictures(), torch.Generator().manual_seed(5))
    assert torch.allclose(sample, (posterior.mean + posterior.std * noise) * 0.18215, atol=1e-6)


def test_latents_are_scaled_on_the_way_in_and_back_on_the_way_out() -> None:
    moments = KL.model.encode(pictures()).latent_dist.mean
    latents = KL.encode(pictures())
    assert torch.allclose(latents, moments * 0.18215)
    assert torch.allclose(KL.decode(latents), KL.model.decode(moments).sample, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_checkpointing_changes_neither_latents_nor_gradients(name: str) -> None:
    vae = frozen.vae(name).network
    latents = vae.encode(pictures()).requires_grad_(True)
    (plain,) = torch.autograd.grad(vae.decode(latents).square().sum(), latents)
    vae.checkpoint_gradients()
    assert torch.equal(vae.encode(pictures()), latents)
    (saved,) = torch.autograd.grad(vae.decode(latents).square().sum(), latents)
    assert torch.allclose(saved, plain, rtol=1e-4, atol=1e-5)


def test_the_published_file_loads_under_todays_names() -> None:
    with torch.device("meta"):
        model = sd_vae()
    state = model.state_dict()
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out": "proj_attn"}
    published = {}
    for key, value in state.items():
        for new, name in old.items():
            key = key.replace(f".{new}.0.", f".{name}.").replace(f".{new}.", f".{name}.")
        published[key] = value
    assert "encoder.mid_block.attentions.0.proj_attn.bias" in published
    assert set(sd_vae_state(published)) == set(state)
    assert sum(value.numel() for value in state.values()) == 83_653_863


def taesd(shared: Path) -> frozen.FrozenNetwork[LatentVae]:
    folder = shared / "weights"
    if not (folder / "taesd_encoder_fp16.safetensors").is_file():
        pytest.skip(f"no TAESD in {folder}")
    return frozen.local_taesd(
        folder / "taesd_encoder_fp16.safetensors", folder / "taesd_decoder_fp16.safetensors"
    )


def round_trip_db(vae: LatentVae, face: Tensor) -> float:
    with torch.no_grad():
        made = vae.decode(vae.encode(face)).clamp(-1, 1)
    return float(-10 * np.log10((made - face).square().mean().item() / 4))


def test_real_taesd_gives_a_real_face_back(shared: Path) -> None:
    part = taesd(shared)
    clip = frames_at_25fps(shared / "clips" / "edtalk_pose2_60s.mp4")
    face = torch.from_numpy(next(clip).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    assert face.shape[2:] == (256, 256)
    latents = part.network.encode(face)
    assert round_trip_db(part.network, face) > 29
    assert 0.5 < latents.std().item() < 1.5
    assert part.name == "local:taesd"
    assert not part.is_stand_in


def test_blocks_need_no_file_to_give_a_recognisable_picture() -> None:
    picture = torch.from_numpy(rule_frames(1, 256, 256, 0)).permute(0, 3, 1, 2) / 127.5 - 1
    smooth = functional.avg_pool2d(picture, 9, 1, 4, count_include_pad=False)
    assert round_trip_db(frozen.vae("stand-in:blocks").network, smooth) > 25


def test_blocks_keep_a_slope_from_top_to_bottom() -> None:
    vae = frozen.vae("stand-in:blocks").network
    slope = torch.linspace(-1, 1, 64).view(1, 1, 64, 1).expand(1, 3, 64, 32)
    made = vae.decode(vae.encode(slope))
    assert (made - slope)[:, :, 8:-8].abs().max() < 0.01


def test_blocks_keep_grey_and_the_primary_colours() -> None:
    vae = frozen.vae("stand-in:blocks").network
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    flat = colours[:, :, None, None].expand(-1, -1, 16, 24)
    assert torch.allclose(vae.decode(vae.encode(flat)), flat, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_moments_give_the_same_latents_as_encoding_bit_by_bit(name: str) -> None:
    vae = frozen.vae(name).network
    mean, std = vae.moments(pictures())
    assert (std is None) == (name != "stand-in:sd-vae-ft-mse")
    for seed in (None, 3):
        drawn = [None if seed is None else torch.Generator().manual_seed(seed) for _ in range(2)]
        assert torch.equal(vae.sampled(mean, std, drawn[0]), vae.encode(pictures(), drawn[1]))
