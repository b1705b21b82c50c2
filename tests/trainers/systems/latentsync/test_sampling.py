"""Faces out of noise."""

import pytest
import torch

from tests.trainers.systems.latentsync.golden_network import rule_network
from trainers.frozen import registry as frozen
from trainers.systems.latentsync.losses.noise import shared_noise
from trainers.systems.latentsync.parametrization import Parametrization
from trainers.systems.latentsync.sampling import SamplingNetworks, sample
from trainers.talking_face.masks import keep_mask

FRAMES, SIZE = 4, 64
HOLE = keep_mask(SIZE)[0, 0] == 0


def random(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def networks():
    return SamplingNetworks(rule_network(), frozen.vae("stand-in:blocks"), Parametrization())


@pytest.fixture(scope="module")
def scene():
    faces, reference = (random(1, 3, FRAMES, SIZE, SIZE, seed=s).clamp(-1, 1) for s in (1, 2))
    noise = shared_noise((1, 4, FRAMES, 8, 8), torch.Generator().manual_seed(4))
    return faces, reference, random(1, FRAMES, 50, 384, seed=3), noise


def test_pixels_outside_the_mask_are_the_original_ones(networks, scene):
    made = sample(networks, *scene, steps=2)
    assert made.shape == scene[0].shape
    assert torch.equal(made[..., ~HOLE], scene[0][..., ~HOLE])
    assert not torch.equal(made[..., HOLE], scene[0][..., HOLE])
    assert float(made.abs().max()) <= 1


def test_the_mouth_that_is_painted_over_has_no_say(networks, scene):
    faces, *rest = scene
    painted_over = faces.clone()
    painted_over[..., HOLE] = 0.7
    assert torch.equal(
        sample(networks, faces, *rest, steps=2)[..., HOLE],
        sample(networks, painted_over, *rest, steps=2)[..., HOLE],
    )


def test_guidance_moves_away_from_silence(networks, scene):
    faces, reference, sound, noise = scene
    unguided = sample(networks, *scene, steps=1, guidance=1)
    silent = sample(networks, faces, reference, torch.zeros_like(sound), noise, 1, guidance=1)
    guided = sample(networks, *scene, steps=1, guidance=1.5)
    expected = silent + 1.5 * (unguided - silent)
    inside = HOLE & ((expected.abs() < 0.9).all(dim=0).all(dim=0).all(dim=0))
    assert bool(inside.any())  # clamping is what makes the others differ
    assert torch.allclose(guided[..., inside], expected[..., inside], atol=1e-3)
    assert not torch.allclose(unguided, silent, atol=1e-2)


@pytest.mark.parametrize("steps", [1, 2, 7, 15])
def test_a_network_that_knows_the_clean_latents_leaves_no_noise_in_any_number_of_steps(
    networks, scene, steps
):
    def knows(latents, timestep, audio):
        return torch.full_like(latents[:, :4], 0.3)

    sure = SamplingNetworks(knows, networks.vae, Parametrization("x0"))
    faces, reference, sound, noise = scene
    made, other = (sample(sure, faces, reference, sound, one, steps, 1) for one in (noise, -noise))
    assert torch.allclose(made, other, atol=1e-4)
