"""LatentSync's training as a Task: noise prediction and the losses on what it implies.

Shape suffixes: B clips, F frames, C latent channels, H and W pixels, h and w latents (pixels / 8),
T audio tokens per frame, D their width.
Source: Li et al., "LatentSync" (2024, arXiv 2412.09262); docs/latent_diffusion.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.params.training import LdmProfile
from trainers.data.pixel_range import to_bytes, to_signed
from trainers.frozen.latent_vae import PIXELS_PER_LATENT
from trainers.loop.precision import autocast
from trainers.loop.task import Batch, Task
from trainers.systems.latentsync.conditions import conditions, decoded, encoded
from trainers.systems.latentsync.crop_jitter import jittered
from trainers.systems.latentsync.frozen_networks import FrozenNetworks
from trainers.systems.latentsync.latent_cache.drawing import drawn_latents
from trainers.systems.latentsync.losses.noise import noise_mse, shared_noise, weighted_mse
from trainers.systems.latentsync.losses.timestep_gate import TimestepGate
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.latentsync.parametrization import Parametrization
from trainers.systems.latentsync.pixel_losses import PixelLosses
from trainers.systems.latentsync.sampling import SamplingNetworks, sample
from trainers.systems.latentsync.step_draws import StepDraws, draw_step
from trainers.talking_face.masks import keep_mask

VALIDATION_TIMESTEPS = (125, 375, 625, 875)
"""Timesteps at which validation measures: the middles of four quarters."""
ESTIMATE_TIMESTEP = 625
"""Where the one-step estimate is measured: noisy enough to depend on the conditions."""


@dataclass(frozen=True, slots=True)
class _PreparedBatch:
    """A batch, prepared as network input."""

    real: Tensor
    """(B, 3, F, H, W); H = W = 0 where no loss looks at pixels and the latents were stored."""
    clean: Tensor
    """(B, C, F, h, w), its latents."""
    condition_latents: Tensor
    """(B, 2 C + 1, F, h, w), the conditions."""
    tokens: Tensor
    """(B, F, T, D)"""
    noise: Tensor
    """(B, C, F, h, w)"""
    timesteps: Tensor
    """(B,)"""
    mel: Tensor | None
    """(B, 1, M, S)"""

    def noisy(self, timestep_B: Tensor, alphas_cumprod: Tensor) -> Tensor:
        """Return the noisy latents (B, C, F, h, w) at a timestep per clip."""
        abar = alphas_cumprod.to(timestep_B.device)[timestep_B].view(-1, 1, 1, 1, 1)
        return abar.sqrt() * self.clean + (1 - abar).sqrt() * self.noise


class LatentDiffusion(Task):
    """The U-Net, with the frozen autoencoder and the frozen networks of the pixel losses.

    Batches are those of `trainers.systems.latentsync.items.SpeakingItem`.
    """

    players: ClassVar[tuple[str, ...]] = ("unet",)
    frozen: ClassVar[tuple[str, ...]] = ("frozen_modules",)

    def __init__(
        self,
        profile: LdmProfile,
        unet: LatentSyncUNet,
        networks: FrozenNetworks,
        sample_batches: Sequence[Batch] = (),
    ) -> None:
        """Take networks that are ready.

        Args:
            shown: batches of one item for `samples`.
        """
        super().__init__()
        self.profile, self.networks, self.sample_batches = profile, networks, sample_batches
        self.unet = unet
        self.frozen_modules = nn.ModuleDict(
            {name: p.network for name, p in networks.by_role().items()}
        )
        self.pixel_losses = PixelLosses(profile, networks)
        self.gate = TimestepGate(kind=profile.gate, max_timestep=profile.gate_max_timestep)
        self.parametrization = Parametrization(profile.prediction)
        self.alphas_cumprod = self.parametrization.scheduler().alphas_cumprod

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return the weighted terms that count: `noise` or `clean`, `sync`, `lpips`, `trepa`."""
        assert player == "unet", player
        prepared = self._prepare(batch, learning=True)
        noisy, predicted = self._predicted(prepared, prepared.timesteps)
        terms, weight = {}, self.profile.noise_weight
        if weight:
            terms[self.parametrization.term] = weight * self._error(prepared, predicted)
        return terms | self._pixel_terms(prepared, noisy, predicted)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Measure each clip at four fixed timesteps, with noise that is the same every time.

        Returns:
            noise or clean: mean square error of the prediction, without weight.
            mouth_psnr_db: of the one-step estimate at `ESTIMATE_TIMESTEP`, in the mask's hole.
            sync_cosine: StableSyncNet's verdict on that estimate, if there is a sync loss.
        """
        prepared = self._prepare(batch, learning=False)
        errors, metrics = [], dict[str, Tensor]()
        for timestep in VALIDATION_TIMESTEPS:
            timestep_B = torch.full_like(prepared.timesteps, timestep)
            noisy, predicted = self._predicted(prepared, timestep_B)
            errors.append(self._error(prepared, predicted))
            if timestep == ESTIMATE_TIMESTEP:
                metrics = self._picture_metrics(prepared, noisy, predicted, timestep_B)
        return {self.parametrization.term: torch.stack(errors).mean(), **metrics}

    @torch.no_grad()
    def samples(self, rank: int, world_size: int) -> dict[str, Tensor]:
        """Return videos (F, 3, H, 2 W): the real clip, and beside it the dubbed one."""
        return {
            f"{batch['clip_id'][0]}-{number}": self._sample_video(batch, number)
            for number, batch in enumerate(self.sample_batches)
            if number % world_size == rank
        }

    def _prepare(self, batch: Batch, learning: bool) -> _PreparedBatch:
        self._check_width(batch["tokens"].shape[-1])
        real = _pixels(batch["frames"])
        drawn = self._drawn(batch, real.shape[2], _size_px(batch), learning)
        with torch.no_grad():
            if learning:
                real = jittered(real, self.profile.crop_jitter_px, drawn.generators)
            return _PreparedBatch(
                real,
                *self._latents(batch, real, drawn.generators),
                self._tokens(batch["tokens"], drawn, learning),
                drawn.noise,
                drawn.timesteps,
                batch.get("mel"),
            )

    def _latents(
        self, batch: Batch, real: Tensor, generators: list[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Return the clean latents and the conditions: from stored moments if there are any."""
        vae, keep = self.networks.vae.network, keep_mask(_size_px(batch)).to(real)
        if "latents" in batch:
            return drawn_latents(
                vae, batch["latents"], batch["reference_latents"], keep, generators
            )
        reference = _pixels(batch["reference"])
        clean = encoded(vae, real, generators)
        return clean, conditions(vae, real, reference, keep, generators)

    def _drawn(self, batch: Batch, frames: int, size: int, learning: bool) -> StepDraws:
        profile, channels = self.profile, self.unet.config.latent_channels
        shape = (channels, frames, size // PIXELS_PER_LATENT, size // PIXELS_PER_LATENT)
        silent_share = profile.audio_dropout if learning else 0.0
        seeds = batch["item_seeds"]
        return draw_step(seeds, shape, profile.noise_alpha, silent_share, profile.timestep_power)

    def _tokens(self, tokens_BFTD: Tensor, drawn: StepDraws, learning: bool) -> Tensor:
        """Return the sound, in training with noise; zeros where the clip is silent."""
        if learning and self.profile.token_noise:
            shape = tokens_BFTD.shape[1:]
            noise = [torch.randn(shape, generator=one) for one in drawn.generators]
            tokens_BFTD = tokens_BFTD + self.profile.token_noise * torch.stack(noise).to(
                tokens_BFTD
            )
        return tokens_BFTD * (~drawn.silent).float()[:, None, None, None]

    def _error(self, prepared: _PreparedBatch, predicted: Tensor) -> Tensor:
        """Return the mean square error of a prediction, of all latents or of the hole's."""
        target = self.parametrization.target(prepared.clean, prepared.noise)
        if not self.profile.hole_loss:
            return noise_mse(predicted, target)
        size_px = PIXELS_PER_LATENT * prepared.clean.shape[-1]
        hole_11HW = 1 - keep_mask(size_px).to(predicted.device)
        weight_1Chw = self.networks.vae.network.share_of(hole_11HW)
        return weighted_mse(predicted, target, weight_1Chw[:, :, None])

    def _check_width(self, audio_width: int) -> None:
        needed = self.unet.config.audio_width
        if audio_width != needed:
            raise ParamsError(
                f"train_ldm.whisper: {self.profile.whisper} gives {audio_width} numbers per token, "
                f"the U-Net of stage {self.profile.stage} hears {needed}; 384 is Whisper tiny"
            )

    def _predicted(self, prepared: _PreparedBatch, timestep_B: Tensor) -> tuple[Tensor, Tensor]:
        noisy = prepared.noisy(timestep_B, self.alphas_cumprod)
        latents = torch.cat([noisy, prepared.condition_latents], dim=1)
        return noisy, self.unet(latents, timestep_B, prepared.tokens)

    def _pixel_terms(
        self, prepared: _PreparedBatch, noisy: Tensor, predicted: Tensor
    ) -> dict[str, Tensor]:
        """Decode once for all losses; clips with gate weight 0 are not decoded."""
        if not self.pixel_losses.names:
            return {}
        weight_B = self.gate.weights(prepared.timesteps, self.alphas_cumprod)
        places = weight_B.nonzero()[:, 0]
        if not len(places):  # the terms need names and gradients in every batch
            return dict.fromkeys(self.pixel_losses.names, 0 * predicted.float().sum())
        timestep_B = prepared.timesteps[places]
        clean = self.parametrization.clean(
            noisy[places], predicted[places], timestep_B, self.alphas_cumprod
        )
        video = decoded(self.networks.vae.network, clean)
        mel = None if prepared.mel is None else prepared.mel[places]
        share = len(places) / len(weight_B)  # the mean is over all clips of the batch
        return self.pixel_losses.terms(video, prepared.real[places], mel, share * weight_B[places])

    def _picture_metrics(
        self, prepared: _PreparedBatch, noisy: Tensor, predicted: Tensor, timestep_B: Tensor
    ) -> dict[str, Tensor]:
        clean = self.parametrization.clean(noisy, predicted, timestep_B, self.alphas_cumprod)
        video = decoded(self.networks.vae.network, clean)
        hole = 1 - keep_mask(video.shape[-1]).to(video)[:, :, None]
        metrics = {"mouth_psnr_db": _psnr(video.clamp(-1, 1), prepared.real, hole).mean()}
        if prepared.mel is not None and self.networks.syncnet is not None:
            metrics["sync_cosine"] = self.pixel_losses.sync_cosine(video, prepared.mel).mean()
        return metrics

    def _sample_video(self, batch: Batch, number: int) -> Tensor:
        device = self.device
        real, reference = (_pixels(batch[name].to(device)) for name in ("frames", "reference"))
        latent_size = real.shape[-1] // PIXELS_PER_LATENT
        generator = torch.Generator().manual_seed(number)
        channels = self.unet.config.latent_channels
        shape = (1, channels, real.shape[2], latent_size, latent_size)
        networks = SamplingNetworks(self.unet, self.networks.vae, self.parametrization)
        with autocast(self.profile.fit, device):
            made = sample(
                networks,
                real,
                reference,
                batch["tokens"].to(device),
                self.profile.sample_temperature * shared_noise(shape, generator).to(device),
                self.profile.sample_steps,
                self.profile.sample_guidance,
            )
        both = torch.cat([real, made.float()], dim=-1)[0].transpose(0, 1)
        return to_bytes(both).cpu()

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.unet.parameters()).device


def _pixels(frames_BFCHW: Tensor) -> Tensor:
    """Return (B, C, F, H, W) in -1 ... 1 of bytes."""
    return to_signed(frames_BFCHW).transpose(1, 2)


def _size_px(batch: Batch) -> int:
    """Return the height and width of the pictures, which may be there as latents alone."""
    if "latents" in batch:
        return PIXELS_PER_LATENT * int(batch["latents"].shape[-1])
    return int(batch["frames"].shape[-1])


def _psnr(made_B3FHW: Tensor, real_B3FHW: Tensor, where_111HW: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio (B,) in dB of the pixels that `where` holds."""
    squares_B = ((made_B3FHW - real_B3FHW).square() * where_111HW).flatten(1).sum(dim=1)
    values = where_111HW.sum() * made_B3FHW.shape[1] * made_B3FHW.shape[2]
    return 10 * torch.log10(4 / (squares_B / values).clamp(min=1e-10))
