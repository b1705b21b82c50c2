"""One step of SyncDiff: the loss by hand, what is seen, what learns."""

import numpy as np
import pytest
import torch

from pipeline.params.fit import FitParams
from tests.trainers.systems.syncdiff.made import (
    NO_NOISE,
    PUBLISHED,
    batch_of,
    clip_of,
    profile_of,
    task_of,
)
from trainers.data.pixel_range import to_signed
from trainers.frozen.av_hubert_files import load_front
from trainers.loop.precision import autocast
from trainers.systems.syncdiff.diffusion import FrameDiffusion, draw_frames
from trainers.systems.syncdiff.items import item_of


def alphas():
    """The schedule of latent diffusion, by hand."""
    betas = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def by_hand(task, batch, drawn, real):
    """What goes into the network, computed apart from the task."""
    vae = task.autoencoder.network
    abar = alphas()[drawn.timesteps].float().view(-1, 1, 1, 1)
    noisy = abar.sqrt() * vae.encode(real) + (1 - abar).sqrt() * drawn.noise
    masked = real.clone()
    masked[:, :, real.shape[-1] // 2 :] = 0
    identity, before = (vae.encode(to_signed(batch[name])) for name in ("identity", "previous"))
    still = torch.cat([vae.encode(masked), identity], dim=1)
    sound = task.network.heard(batch["tokens"])
    return task.network(noisy, drawn.timesteps, still, before, sound)


@pytest.mark.parametrize("autoencoder", ["pixels-8", "stand-in:vq-f4"])
def test_the_loss_is_the_mean_square_error_of_the_noise_and_nothing_else(autoencoder):
    profile = profile_of(**PUBLISHED, **NO_NOISE, autoencoder=autoencoder)
    task, batch = task_of(profile), batch_of(profile)
    drawn = draw_frames(
        batch["item_seeds"],
        task.autoencoder.network.encode(to_signed(batch["frame"])).shape[1:],
        batch["tokens"].shape[1:],
        1.0,
    )
    with torch.no_grad():
        predicted = by_hand(task, batch, drawn, to_signed(batch["frame"]))
        terms = task.losses(batch, "network")
    assert list(terms) == ["noise"]
    expected = ((predicted - drawn.noise) ** 2).mean()
    assert float(terms["noise"]) == pytest.approx(float(expected), rel=1e-5)


def test_clean_latents_are_measured_in_the_masked_half_alone():
    profile = profile_of(**NO_NOISE)
    task, batch = task_of(profile), batch_of(profile)
    for parameter in task.network.unet.conv_out.parameters():
        torch.nn.init.zeros_(parameter)  # says 0: the error is the picture itself
    real = to_signed(batch["frame"])[:, :, 16:]
    with torch.no_grad():
        term = task.losses(batch, "network")["clean"]
    assert float(term) == pytest.approx(float((2 * real).square().mean()), rel=1e-5)


def test_the_schedule_is_that_of_latent_diffusion():
    for kind in ("epsilon", "x0"):
        found = FrameDiffusion(kind).scheduler().alphas_cumprod.double()
        assert torch.allclose(found, alphas(), rtol=1e-4)


def test_one_step_gives_the_clean_latents_back_from_the_true_noise():
    clean, noise = torch.randn(2, 2, 3, 4, 4)
    timesteps = torch.tensor([10, 700])
    kind = FrameDiffusion("epsilon")
    noisy = kind.noisy(clean, noise, timesteps)
    assert torch.allclose(kind.clean(noisy, noise, timesteps), clean, atol=1e-4)


def test_an_item_draws_the_same_alone_and_in_a_batch():
    seeds = torch.tensor([5, 6, 7])
    whole, one = (draw_frames(some, (3, 4, 4), (1, 2), 3.0) for some in (seeds, seeds[1:2]))
    for name in ("timesteps", "noise", "pose_noise", "token_noise"):
        assert torch.equal(getattr(whole, name)[1:2], getattr(one, name))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_gradients_are_finite_in_half_precision(precision):
    profile = profile_of(fit=FitParams(precision=precision), autoencoder="stand-in:vq-f4")
    task = task_of(profile)
    with autocast(profile.fit, torch.device("cpu")):
        loss = task.losses(batch_of(profile), "network")["clean"]
    loss.backward()
    assert all(
        one.grad is not None and one.grad.isfinite().all() for one in task.network.parameters()
    )


def test_an_item_holds_the_frame_before_and_the_sound_of_its_frame():
    profile = profile_of()
    clip = clip_of()
    item = item_of(profile, augment=False)(clip, 4, np.random.default_rng(0))
    assert torch.equal(item["previous"], torch.from_numpy(clip.frames[4]))
    assert torch.equal(item["frame"], torch.from_numpy(clip.frames[5]))
    assert torch.equal(item["tokens"], clip.prepared[5])
    assert any(np.array_equal(item["identity"].numpy(), one) for one in clip.frames)


def test_the_frozen_layers_stay_and_the_last_three_move():
    profile = profile_of(audio="stand-in:av-hubert", frozen_layers=9)
    front = load_front("stand-in:av-hubert-9")
    before = {name: one.clone() for name, one in front.state_dict().items()}
    task = task_of(profile)
    batch = batch_of(profile, prepare=lambda clip: front.features([clip.audio])[0])
    assert batch["tokens"].shape == (2, 25, 768)
    hearing = task.network.hearing
    first = {name: one.clone() for name, one in hearing.state_dict().items()}
    optimizer = torch.optim.AdamW(task.parameters_of("network"), 1e-3)
    task.losses(batch, "network")["clean"].backward()
    optimizer.step()
    moved = {
        name for name, one in hearing.state_dict().items() if not torch.equal(one, first[name])
    }
    assert {
        name.split(".")[2] for name in moved if ".layers." in f".{name}" and "norm" not in name
    } >= {
        "9",
        "10",
        "11",
    }
    assert not any(one.requires_grad for one in front.parameters())
    assert all(torch.equal(one, before[name]) for name, one in front.state_dict().items())
    assert not any(name.startswith(f"layers.layers.{n}.") for name in first for n in range(9))
