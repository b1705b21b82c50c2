"""The task of training AVSyncNet, for pairs and for several windows of a clip.

Shape suffixes: B items, K windows of an item (rows: sounds, columns: pictures), D embedding.
"""

from typing import ClassVar

import torch
from torch import Tensor

from pipeline.params.neighbours import AvSyncNetProfile
from trainers.data.pixel_range import to_signed
from trainers.loop.task import Batch, Task
from trainers.systems.avsyncnet.losses import pair_terms, window_terms
from trainers.systems.avsyncnet.network import AvSyncNet
from trainers.systems.stable_syncnet.losses import (
    cosine,
    masked_mean,
    matrix_accuracy,
    matrix_bce,
    ranking_accuracy,
)


class AvSyncNetTask(Task):
    """Trains on `PairItem` or `WindowsItem`; validates on `WindowsItem` only."""

    players: ClassVar[tuple[str, ...]] = ("syncnet",)

    def __init__(self, profile: AvSyncNetProfile, syncnet: AvSyncNet) -> None:
        super().__init__()
        self.profile, self.syncnet = profile, syncnet

    def losses(self, batch: Batch, player: str) -> dict[str, Tensor]:
        """Return the mean losses of the items."""
        assert player == "syncnet", player
        if batch["in_sync"].ndim == 1:
            found_B = cosine(*self.syncnet(to_signed(batch["visual"]), batch["mel"]))
            return pair_terms(found_B, batch["in_sync"])
        weight, temperature = self.profile.contrast_weight, self.profile.temperature
        return window_terms(self._cosines(batch), batch["in_sync"], weight, temperature)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Measure all pairs of a clip's windows.

        Returns:
            loss: of the published term. accuracy: share of pairs on their side of 0.5, those in
            sync and the others weighing half each. ranked: how often a sound's own picture beats a
            wrong one, 0.5 is chance. cosine_in_sync, cosine_out_of_sync: means. spread_in_sync:
            standard deviation of the cosine over a clip's true pairs.
        """
        cosine_BKK, in_sync_BKK = self._cosines(batch), batch["in_sync"]
        right_BKK = in_sync_BKK == 1
        mean_B = masked_mean(cosine_BKK, right_BKK)
        squares_B = masked_mean((cosine_BKK - mean_B[:, None, None]).square(), right_BKK)
        return {
            "loss": matrix_bce(cosine_BKK, in_sync_BKK, clamp=True).mean(),
            "accuracy": matrix_accuracy(cosine_BKK, in_sync_BKK).mean(),
            "ranked": ranking_accuracy(cosine_BKK, in_sync_BKK).mean(),
            "cosine_in_sync": mean_B.mean(),
            "cosine_out_of_sync": masked_mean(cosine_BKK, in_sync_BKK == 0).mean(),
            "spread_in_sync": squares_B.sqrt().mean(),
        }

    def _cosines(self, batch: Batch) -> Tensor:
        """Return (B, K, K) cosines, every sound with every picture of its item."""
        items, windows = batch["visual"].shape[:2]
        visual = to_signed(batch["visual"]).flatten(0, 1)
        vision_BD, audio_BD = self.syncnet(visual, batch["mel"].flatten(0, 1))
        vision_BKD = vision_BD.reshape(items, windows, -1)
        audio_BKD = audio_BD.reshape(items, windows, -1)
        with torch.autocast(audio_BKD.device.type, enabled=False):  # else a product in 16 bits
            return torch.bmm(audio_BKD, vision_BKD.transpose(1, 2))
