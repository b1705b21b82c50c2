"""SyncDiff's training as a Task: one prediction, one loss.

Shape suffixes: B frames, C latent channels, H and W pixels, h and w latents, J = 2 C, K and D
sound.
Source: Fan et al., "SyncDiff" (WACV 2025); docs/syncdiff.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.params.syncdiff import SyncDiffProfile
from trainers.data.pixel_range import to_bytes, to_signed
from trainers.frozen.latent_vae import LatentVae
from trainers.frozen.registry import FrozenNetwork
from trainers.loop.precision import autocast
from trainers.loop.task import Batch, Task
from trainers.systems.syncdiff.diffusion import FrameDiffusion, FrameDraws, draw_frames
from trainers.systems.syncdiff.items import SampleClip
from trainers.systems.syncdiff.losses import hole_mse, prediction_mse
from trainers.systems.syncdiff.network import SyncDiffNetwork
from trainers.systems.syncdiff.sampling import roll_out
from trainers.talking_face.masks import lower_half_mask

VALIDATION_TIMESTEPS = (125, 375, 625, 875)
"""Timesteps at which validation measures: the middles of four quarters."""
ESTIMATE_TIMESTEP = 625
"""Where the one-step estimate is measured: noisy enough to depend on the conditions."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch, as the network takes it."""

    real: Tensor
    """(B, 3, H, W)"""
    clean: Tensor
    """(B, C, h, w), its latents."""
    still: Tensor
    """(B, J, h, w): latents of the masked frame and of the identity frame."""
    previous: Tensor
    """(B, C, h, w): latents of the frame before."""
    tokens: Tensor
    """(B, K, D)"""


class SyncDiffTask(Task):
    """The network, with the frozen autoencoder. Batches are those of `items.FrameItem`."""

    players: ClassVar[tuple[str, ...]] = ("network",)
    frozen: ClassVar[tuple[str, ...]] = ("frozen_modules",)

    def __init__(
        self,
        profile: SyncDiffProfile,
        network: SyncDiffNetwork,
        autoencoder: FrozenNetwork[LatentVae],
        sample_clips: Sequence[SampleClip] = (),
    ) -> None:
        """Take networks that are ready."""
        super().__init__()
        self.profile, self.autoencoder, self.sample_clips = profile, autoencoder, sample_clips
        self.network = network
        self.frozen_modules = nn.ModuleDict({"autoencoder": autoencoder.network})
        self.diffusion = FrameDiffusion(profile.prediction)

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return the one term: `noise` or `clean`."""
        assert player == "network", player
        prepared = self._prepare(batch)
        drawn = self._draw(batch, prepared)
        previous = prepared.previous + self.profile.pose_noise * drawn.pose_noise
        tokens = prepared.tokens + self.profile.token_noise * drawn.token_noise
        noisy = self.diffusion.noisy(prepared.clean, drawn.noise, drawn.timesteps)
        predicted = self.network(
            noisy, drawn.timesteps, prepared.still, previous, self.network.heard(tokens)
        )
        return {self.diffusion.term: self._error(prepared, predicted, drawn.noise)}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Measure each frame at four fixed timesteps, with noise that is the same every time.

        Returns:
            noise or clean: mean square error of the prediction.
            mouth_psnr_db: of the one-step estimate at `ESTIMATE_TIMESTEP`, in the masked half.
        """
        prepared = self._prepare(batch)
        noise = self._draw(batch, prepared).noise
        sound, errors, metrics = self.network.heard(prepared.tokens), [], dict[str, Tensor]()
        for timestep in VALIDATION_TIMESTEPS:
            timestep_B = torch.full((len(noise),), timestep, device=noise.device)
            noisy = self.diffusion.noisy(prepared.clean, noise, timestep_B)
            predicted = self.network(noisy, timestep_B, prepared.still, prepared.previous, sound)
            errors.append(self._error(prepared, predicted, noise))
            if timestep == ESTIMATE_TIMESTEP:
                made = self.diffusion.clean(noisy, predicted, timestep_B)
                metrics = {"mouth_psnr_db": self._psnr(made, prepared.real)}
        return {self.diffusion.term: torch.stack(errors).mean(), **metrics}

    @torch.no_grad()
    def samples(self, rank: int, world_size: int) -> dict[str, Tensor]:
        """Return videos (T, 3, H, 2 W): the real clip, and beside it the dubbed one."""
        return {
            f"{clip.clip_id}-{number}": self._sample_video(clip, number)
            for number, clip in enumerate(self.sample_clips)
            if number % world_size == rank
        }

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.network.parameters()).device

    @torch.no_grad()
    def _prepare(self, batch: Batch) -> _Prepared:
        vae = self.autoencoder.network
        real, previous, identity = (
            to_signed(batch[name]) for name in ("frame", "previous", "identity")
        )
        keep = lower_half_mask(real.shape[-1]).to(real)
        clean, masked, shown, before = (
            vae.encode(one).float() for one in (real, real * keep, identity, previous)
        )
        still = torch.cat([masked, shown], dim=1)
        return _Prepared(real, clean, still, before, batch["tokens"])

    def _draw(self, batch: Batch, prepared: _Prepared) -> FrameDraws:
        shapes = (prepared.clean.shape[1:], prepared.tokens.shape[1:])
        return draw_frames(batch["item_seeds"], *shapes, self.profile.timestep_power)

    def _error(self, prepared: _Prepared, predicted: Tensor, noise: Tensor) -> Tensor:
        """Return the mean square error of a prediction, of all latents or of the masked half's."""
        target = self.diffusion.target(prepared.clean, noise)
        if not self.profile.hole_loss:
            return prediction_mse(predicted, target)
        return hole_mse(predicted, target, self._latent_share(prepared.real))

    def _latent_share(self, real: Tensor) -> Tensor:
        hole = 1 - lower_half_mask(real.shape[-1]).to(real)
        return self.autoencoder.network.share_of(hole)

    def _psnr(self, latents: Tensor, real: Tensor) -> Tensor:
        """Return the mean peak signal-to-noise ratio in dB inside of the masked half."""
        made = self.autoencoder.network.decode(latents).float().clamp(-1, 1)
        hole = 1 - lower_half_mask(real.shape[-1]).to(real)
        squares_B = ((made - real).square() * hole).flatten(1).sum(dim=1)
        mean_B = squares_B / (hole.sum() * real.shape[1])
        return (10 * torch.log10(4 / mean_B.clamp(min=1e-10))).mean()

    def _sample_video(self, clip: SampleClip, number: int) -> Tensor:
        device, steps = self.device, self.profile.sample_steps
        real = to_signed(clip.frames[None].to(device))
        identity = to_signed(clip.identity[None].to(device))
        with autocast(self.profile.fit, device):
            made = roll_out(self, real, identity, clip.tokens[None].to(device), number, steps)
        return to_bytes(torch.cat([real, made.float()], dim=-1)[0]).cpu()
