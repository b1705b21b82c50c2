"""Frame by frame: the same as a slow loop, one clip or several, and blind to the lower half."""

import torch

from tests.trainers.systems.syncdiff.made import PUBLISHED, SIZE_PX, profile_of, task_of
from trainers.systems.syncdiff.sampling import first_noise, next_frames, roll_out

FRAMES, STEPS = 4, 3


def scene(clips=1, seed=0):
    torch.manual_seed(seed)
    faces = torch.rand(clips, FRAMES, 3, SIZE_PX, SIZE_PX) * 2 - 1
    identity = torch.rand(clips, 3, SIZE_PX, SIZE_PX) * 2 - 1
    return faces, identity, torch.randn(clips, FRAMES, 1, 260)


def slow(task, faces, identity, tokens, seed):
    """One clip, one frame, one step after the other, by the published formulas."""
    vae, abar = task.autoencoder.network, task.diffusion.scheduler().alphas_cumprod
    generator = torch.Generator().manual_seed(seed)
    side = SIZE_PX // vae.pixels_per_latent
    noise = torch.randn(1, vae.channels, side, side, generator=generator)
    previous, made = identity, []
    for number in range(FRAMES):
        face = faces[:, number]
        masked = face.clone()
        masked[:, :, SIZE_PX // 2 :] = 0
        still = torch.cat([vae.encode(masked), vae.encode(identity)], dim=1)
        sound, latents = task.network.heard(tokens[:, number]), noise
        times = [666, 333, 0]
        for time, after in zip(times, [*times[1:], -1], strict=True):
            said = task.network(latents, time, still, vae.encode(previous), sound)
            clean = (latents - (1 - abar[time]) ** 0.5 * said) / abar[time] ** 0.5
            left = abar[after] if after >= 0 else torch.tensor(1.0)
            latents = left**0.5 * clean + (1 - left) ** 0.5 * said
        previous = face.clone()
        previous[:, :, SIZE_PX // 2 :] = vae.decode(clean).clamp(-1, 1)[:, :, SIZE_PX // 2 :]
        made.append(previous)
    return torch.stack(made, dim=1)


@torch.no_grad()
def test_sampling_equals_a_slow_loop_bit_for_bit():
    task = task_of(profile_of(**PUBLISHED)).eval()
    faces, identity, tokens = scene()
    made = roll_out(task, faces, identity, tokens, seed=5, steps=STEPS)
    assert torch.equal(made, slow(task, faces, identity, tokens, seed=5))


def test_several_clips_at_once_are_each_as_alone():
    task = task_of(profile_of()).eval()
    faces, identity, tokens = scene(clips=3)
    together = roll_out(task, faces, identity, tokens, seed=5, steps=2)
    for number in range(3):
        part = slice(number, number + 1)
        alone = roll_out(task, faces[part], identity[part], tokens[part], seed=5, steps=2)
        assert torch.allclose(together[part], alone, atol=1e-4)


def test_the_lower_half_is_made_anew_and_the_upper_half_is_kept():
    task = task_of(profile_of()).eval()
    faces, identity, tokens = scene()
    other = faces.clone()
    other[:, :, :, SIZE_PX // 2 :] *= -1
    made, again = (roll_out(task, one, identity, tokens, 5, 2) for one in (faces, other))
    assert torch.equal(made, again)
    assert torch.equal(made[..., : SIZE_PX // 2, :], faces[..., : SIZE_PX // 2, :])


def test_a_frame_depends_on_the_generated_one_before_it_not_on_the_real_one():
    task = task_of(profile_of()).eval()
    faces, identity, tokens = scene()
    made = roll_out(task, faces, identity, tokens, 5, 2)
    noise = first_noise(task, SIZE_PX, 5)
    ends = [
        next_frames(task, faces[:, 1], identity, before, tokens[:, 1], noise, 2)
        for before in (made[:, 0], faces[:, 0])
    ]
    assert torch.equal(ends[0], made[:, 1])
    assert not torch.equal(ends[1], made[:, 1])
