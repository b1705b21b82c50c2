"""Training of G_S and of G_L as a Task: the generator against its discriminator.

Frozen are AVSyncNet (its audio tower is the generator's ear, all of it the judge of L_ss), G_S
where it closes the mouths of the references, and VGG-19.

Shape suffixes: B windows, F = 5 frames, N = B F frames, H and W pixels, M mel bands, S columns.
Source: Yaman et al. (ECCV 2024); docs/stabilized.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.params.neighbours import TalkerProfile
from trainers.data.pixel_range import to_bytes, to_signed
from trainers.frozen.registry import FrozenNetwork
from trainers.frozen.vgg19 import Vgg19
from trainers.loop.precision import autocast
from trainers.loop.task import Batch, Task
from trainers.systems.avsyncnet.network import AvSyncNet
from trainers.systems.avsyncnet.sync_view import sync_view
from trainers.systems.stabilized.items import BEFORE, PaintedSample
from trainers.systems.stabilized.losses.adversarial import deceiving_loss, judge_loss
from trainers.systems.stabilized.losses.perceptual import (
    Features,
    adaptive_triplet_loss,
    distance,
    perceptual_loss,
    triplet_loss,
)
from trainers.systems.stabilized.losses.sync import stabilized_sync_loss, wav2lip_sync_loss
from trainers.systems.stabilized.network import Discriminator, TalkerGenerator
from trainers.systems.stabilized.painting import closed, painted
from trainers.systems.stable_syncnet.losses import cosine


@dataclass(frozen=True, slots=True)
class FrozenParts:
    """What a training reads and does not change."""

    avsyncnet: FrozenNetwork[AvSyncNet]
    vgg: FrozenNetwork[Vgg19]
    silent_lip: FrozenNetwork[TalkerGenerator] | None
    """G_S; None where the profile needs none."""


class TalkerTask(Task):
    """Generator and discriminator. Batches are those of `items.TalkerItem`."""

    players: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    shared_player: ClassVar[str | None] = "generator"
    frozen: ClassVar[tuple[str, ...]] = ("frozen_modules",)

    def __init__(
        self,
        profile: TalkerProfile,
        generator: TalkerGenerator,
        discriminator: Discriminator,
        parts: FrozenParts,
        sample_clips: Sequence[PaintedSample] = (),
    ) -> None:
        """Take networks that are ready."""
        super().__init__()
        self.profile, self.parts, self.sample_clips = profile, parts, sample_clips
        self.generator, self.discriminator = generator, discriminator
        frozen: dict[str, nn.Module] = {"avsyncnet": parts.avsyncnet.network}
        frozen["vgg"] = parts.vgg.network
        if parts.silent_lip:
            frozen["silent_lip"] = parts.silent_lip.network
        self.frozen_modules = nn.ModuleDict(frozen)

    @property
    def closer(self) -> TalkerGenerator | None:
        """G_S, which closes the mouths of references; None: they are shown as they are."""
        part = self.parts.silent_lip
        return part.network if part and self.profile.silent_lips else None

    def shared(self, batch: Batch) -> dict[str, Tensor]:
        """Return the made faces, and the references as the generator saw them."""
        faces_B, identity_B = to_signed(batch["frames"]), to_signed(batch["reference"])
        made_N, identity_N = self._made(*map(_frames, (faces_B, identity_B, batch["mel"])))
        return {
            "made": made_N.reshape(faces_B.shape),
            "identity": identity_N.reshape(faces_B.shape),
        }

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return the weighted terms of one player; those of weight 0 are left out."""
        made_N, real_N = _frames(batch["shared"]["made"]), _frames(to_signed(batch["frames"]))
        if player == "discriminator":
            scores = self.discriminator(torch.cat([real_N, made_N]))  # one call: see spectral norm
            return {"judge": judge_loss(*scores.chunk(2)).mean()}
        want = self.profile
        terms = {"pixel": want.pixel_weight * (made_N - real_N).abs().mean()}
        if want.gan_weight:
            terms["gan"] = want.gan_weight * deceiving_loss(self.discriminator(made_N)).mean()
        terms |= self._feature_terms(made_N, real_N, _frames(batch["shared"]["identity"]))
        return terms | self._sync_terms(batch)

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Measure the lower halves of held-out windows.

        Returns:
            pixel: mean absolute difference, of -1 ... 1. mouth_psnr_db. toward_truth: how far the
            picture went from the film's reference to the truth: 0 copies, 1 is right. sync,
            sync_real, sync_reference: mean cosines x, y and d.
        """
        shared = self.shared(batch)
        frames, reference = to_signed(batch["frames"]), to_signed(batch["reference"])
        made, real, other = (_lower(one).flatten(1) for one in (shared["made"], frames, reference))
        squares_B = (made.clamp(-1, 1) - real).square().mean(dim=1)
        sync, sync_real, sync_reference = self._cosines({**batch, "shared": shared})
        return {
            "pixel": (made - real).abs().mean(),
            "mouth_psnr_db": (10 * torch.log10(4 / squares_B.clamp(min=1e-10))).mean(),
            "toward_truth": _share_of_way(made, other, real).mean(),
            "sync": sync.mean(),
            "sync_real": sync_real.mean(),
            "sync_reference": sync_reference.mean(),
        }

    @torch.no_grad()
    def samples(self, rank: int, world_size: int) -> dict[str, Tensor]:
        """Return videos (T, 3, H, 3 W): the real clip, the reference as shown, the dubbed clip."""
        return {
            f"{clip.clip_id}-{number}": self._sample_video(clip)
            for number, clip in enumerate(self.sample_clips)
            if number % world_size == rank
        }

    def _made(
        self, faces_N3HW: Tensor, reference_N3HW: Tensor, mel_N1MS: Tensor
    ) -> tuple[Tensor, Tensor]:
        tower = self.parts.avsyncnet.network.audio_tower
        identity_N3HW = reference_N3HW
        if self.closer is not None:
            identity_N3HW = closed(self.closer, tower, reference_N3HW)
        identity_N3HW = identity_N3HW.float()
        made_N3HW = painted(self.generator, tower, faces_N3HW, identity_N3HW, mel_N1MS)
        return made_N3HW.float(), identity_N3HW

    def _feature_terms(
        self, made_N: Tensor, real_N: Tensor, identity_N: Tensor
    ) -> dict[str, Tensor]:
        want, vgg = self.profile, self.parts.vgg.network
        if not (want.perceptual_weight or want.triplet_on):
            return {}
        made, terms = vgg(made_N), dict[str, Tensor]()
        with torch.no_grad():
            real = vgg(real_N)
            reference = vgg(identity_N) if want.triplet_on else []
        if want.perceptual_weight:
            terms["perceptual"] = want.perceptual_weight * perceptual_loss(made, real).mean()
        if want.triplet_on:
            terms["triplet"] = want.triplet_weight * self._triplet(made, real, reference).mean()
        return terms

    def _triplet(self, made: Features, real: Features, reference: Features) -> Tensor:
        near_N, far_N = distance(made, real), distance(made, reference)
        if self.profile.triplet == "plain":
            return triplet_loss(near_N, far_N)
        floor = self.profile.triplet_floor
        return adaptive_triplet_loss(near_N, far_N, distance(real, reference), floor)

    def _sync_terms(self, batch: Batch) -> dict[str, Tensor]:
        want = self.profile
        if not want.sync_on:
            return {}
        if want.sync_loss == "wav2lip":
            loss_B = wav2lip_sync_loss(self._cosines(batch, ("made",))[0])
        else:
            made_B, real_B, reference_B = self._cosines(batch)
            loss_B = stabilized_sync_loss(made_B, real_B, reference_B, want.sync_floor)
        return {"sync": want.sync_weight * loss_B.mean()}

    def _cosines(
        self, batch: Batch, of: Sequence[str] = ("made", "real", "identity")
    ) -> list[Tensor]:
        """Return x, y and d (B,): cosines of pictures with the window's sound."""
        network = self.parts.avsyncnet.network
        pictures = {**batch["shared"], "real": to_signed(batch["frames"])}
        with torch.no_grad():
            sound_BD = network.embed_audio(batch["mel"][:, BEFORE])
        found = []
        for name in of:
            with torch.set_grad_enabled(torch.is_grad_enabled() and name == "made"):
                view = sync_view(pictures[name], network.config.resolution)
                found.append(cosine(network.embed_visual(view), sound_BD))
        return found

    def _sample_video(self, clip: PaintedSample) -> Tensor:
        device = next(self.generator.parameters()).device
        real, reference = (to_signed(one.to(device)) for one in (clip.frames, clip.reference))
        with autocast(self.profile.fit, device):
            made, identity = self._made(real, reference, clip.mel.to(device))
        return to_bytes(torch.cat([real, identity, made], dim=-1)).cpu()


def _frames(windows: Tensor) -> Tensor:
    """Return (B F, ...) of (B, F, ...)."""
    return windows.flatten(0, 1)


def _share_of_way(made_BX: Tensor, start_BX: Tensor, end_BX: Tensor) -> Tensor:
    """Return where each picture lies between two others, (B,): 0 at the start, 1 at the end."""
    way_BX = end_BX - start_BX
    length_B = way_BX.square().sum(dim=1).clamp(min=1e-10)
    return ((made_BX - start_BX) * way_BX).sum(dim=1) / length_B


def _lower(faces: Tensor) -> Tensor:
    return faces[..., faces.shape[-2] // 2 :, :]
