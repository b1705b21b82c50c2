"""The losses on decoded frames, with their frozen networks.

Shape suffixes: B clips, F frames, H and W pixels, M mel bands, S mel columns.
Source: weights and definitions of LatentSync, stage 2 (docs/losses.md).
"""

from collections.abc import Iterator

from torch import Tensor

from pipeline.params.training import LdmProfile
from trainers.systems.latentsync.frozen_networks import FrozenNetworks
from trainers.systems.latentsync.losses.lpips import lpips_lower_half
from trainers.systems.latentsync.losses.pixel_sync import pixel_sync_loss
from trainers.systems.latentsync.losses.timestep_gate import gated_mean
from trainers.systems.latentsync.losses.trepa import trepa_loss
from trainers.systems.stable_syncnet.losses import cosine
from trainers.systems.stable_syncnet.sync_view import sync_view


class PixelLosses:
    """The pixel losses of a profile. Not a module: the task owns and moves the networks."""

    def __init__(self, profile: LdmProfile, networks: FrozenNetworks) -> None:
        self._profile, self._networks = profile, networks

    @property
    def names(self) -> list[str]:
        """Return the losses that count, in their order."""
        loaded = {
            "sync": self._networks.syncnet,
            "lpips": self._networks.lpips,
            "trepa": self._networks.videomae,
        }
        return [name for name, part in loaded.items() if part is not None]

    def terms(
        self, video_B3FHW: Tensor, real_B3FHW: Tensor, mel_B1MS: Tensor | None, weight_B: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted terms, each a scalar, of clips that count `weight_B` each.

        Args:
            video_B3FHW: decoded, not clamped; the gradient passes through it.
            real_B3FHW: the original frames.
            mel_B1MS: mel windows; None where there is no sync loss.
        """
        return {
            name: weight * gated_mean(loss_B, weight_B)
            for name, weight, loss_B in self._losses(video_B3FHW, real_B3FHW, mel_B1MS)
        }

    def sync_cosine(self, video_B3FHW: Tensor, mel_B1MS: Tensor) -> Tensor:
        """Return StableSyncNet's cosine (B,) of faces and sound."""
        assert self._networks.syncnet is not None
        network = self._networks.syncnet.network
        view = sync_view(video_B3FHW, network.config.resolution, self._profile.antialias)
        return cosine(*network(view, mel_B1MS))

    def _losses(
        self, video: Tensor, real: Tensor, mel: Tensor | None
    ) -> Iterator[tuple[str, float, Tensor]]:
        profile, networks = self._profile, self._networks
        if networks.syncnet is not None:
            assert mel is not None
            network = networks.syncnet.network
            loss_B = pixel_sync_loss(
                video, mel, network, profile.clamp, network.config.resolution, profile.antialias
            )
            yield "sync", profile.sync_weight, loss_B
        if networks.lpips is not None:
            loss_B = lpips_lower_half(video, real, networks.lpips.network)
            yield "lpips", profile.lpips_weight, loss_B
        if networks.videomae is not None:
            yield "trepa", profile.trepa_weight, trepa_loss(video, real, networks.videomae.network)
