"""The task of training StableSyncNet, for pairs and for several windows of a clip.

Shape suffixes: B items, K windows of an item (rows: sounds, columns: pictures).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trainers.data.pixel_range import to_signed
from trainers.loop.task import Batch, Task
from trainers.systems.stable_syncnet.configs import StableSyncNetConfig
from trainers.systems.stable_syncnet.losses import (
    cosine,
    cosine_bce,
    masked_mean,
    matching_loss,
    matrix_accuracy,
    matrix_bce,
    ranking_accuracy,
)
from trainers.systems.stable_syncnet.network import StableSyncNet


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is minimised. The default is the published loss."""

    clamp: bool = False
    bce_weight: float = 1.0
    contrast_weight: float = 0.0
    """Only for items of several windows. A weight of 0 leaves its term out."""
    temperature: float = 0.1


class SyncNetTask(Task):
    """Trains StableSyncNet on `PairItem` or `WindowsItem`; validates on `WindowsItem` only.

    Pictures come as bytes and become -1 ... 1 on the device of the network.
    """

    players: ClassVar[tuple[str, ...]] = ("syncnet",)

    def __init__(
        self,
        config: StableSyncNetConfig,
        objective: Objective | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.syncnet = StableSyncNet(config, gradient_checkpointing)
        self.objective = objective or Objective()

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return the mean losses of the items."""
        assert player == "syncnet", player
        if batch["in_sync"].ndim == 1:
            return self._pair_losses(batch)
        return self._window_losses(batch)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Return loss, published accuracy, ranked share and mean cosines, over all pairs of a clip.

        `ranked`: how often a sound's own picture beats a wrong one; it needs no threshold.
        """
        cosine_BKK, in_sync_BKK = self._cosines(batch), batch["in_sync"]
        return {
            "loss": matrix_bce(cosine_BKK, in_sync_BKK, clamp=True).mean(),
            "accuracy": matrix_accuracy(cosine_BKK, in_sync_BKK).mean(),
            "ranked": ranking_accuracy(cosine_BKK, in_sync_BKK).mean(),
            "cosine_in_sync": masked_mean(cosine_BKK, in_sync_BKK == 1).mean(),
            "cosine_out_of_sync": masked_mean(cosine_BKK, in_sync_BKK == 0).mean(),
        }

    def _pair_losses(self, batch: Batch) -> dict[str, Tensor]:
        cosine_B = cosine(*self.syncnet(to_signed(batch["visual"]), batch["mel"]))
        loss_B = cosine_bce(cosine_B, batch["in_sync"], self.objective.clamp)
        return {"bce": self.objective.bce_weight * loss_B.mean()}

    def _window_losses(self, batch: Batch) -> dict[str, Tensor]:
        want, in_sync_BKK = self.objective, batch["in_sync"]
        cosine_BKK = self._cosines(batch)
        terms = {}
        if want.bce_weight:
            loss_B = matrix_bce(cosine_BKK, in_sync_BKK, want.clamp)
            terms["bce"] = want.bce_weight * loss_B.mean()
        if want.contrast_weight:
            loss_B = matching_loss(cosine_BKK, in_sync_BKK, want.temperature)
            terms["contrast"] = want.contrast_weight * loss_B.mean()
        return terms

    def _cosines(self, batch: Batch) -> Tensor:
        """Return (B, K, K) cosines, every sound with every picture of its item."""
        vision_BKD = _of_items(self.syncnet.embed_visual, to_signed(batch["visual"]))
        audio_BKD = _of_items(self.syncnet.embed_audio, batch["mel"])
        with torch.autocast(audio_BKD.device.type, enabled=False):  # else a product in 16 bits
            return torch.bmm(audio_BKD, vision_BKD.transpose(1, 2))


def _of_items(embed: Callable[[Tensor], Tensor], windows_BKCHW: Tensor) -> Tensor:
    """Embed all windows of all items at once: (B, K, D)."""
    items, count = windows_BKCHW.shape[:2]
    return embed(windows_BKCHW.flatten(0, 1)).reshape(items, count, -1)
