"""Weight of a clip's pixel losses by its timestep; off by default, as in LatentSync.

Pixel losses judge the one-step estimate of the clean picture. At high noise that estimate is a blur
and its error is amplified (one_step.py), so these losses then teach little and shake much.
docs/losses.md has our measurement.

Shape suffixes: B clips, T steps of the schedule.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestepGate:
    """Turns timesteps into weights 0 ... 1.

    Raises:
        ValueError: `max_timestep` or `snr_ceiling` is not positive.
    """

    kind: Literal["none", "cutoff", "snr"] = "none"
    """none: 1 everywhere. cutoff: 1 up to `max_timestep`, else 0, so that the clip need not even be
    decoded. snr: min(SNR, ceiling) / ceiling, the clipped signal-to-noise weight of Hang et al.,
    "Efficient Diffusion Training via Min-SNR Weighting" (ICCV 2023, arXiv 2303.09556)."""
    max_timestep: int = 500
    snr_ceiling: float = 5.0

    def __post_init__(self) -> None:
        if self.max_timestep <= 0 or self.snr_ceiling <= 0:
            raise ValueError(
                f"max_timestep {self.max_timestep} and snr_ceiling {self.snr_ceiling} "
                f"must be above 0"
            )

    def weights(self, timestep_B: Tensor, alphas_cumprod_T: Tensor) -> Tensor:
        """Return a float32 weight (B,) per clip."""
        if self.kind == "none":
            return torch.ones_like(timestep_B, dtype=torch.float32)
        if self.kind == "cutoff":
            return (timestep_B <= self.max_timestep).float()
        abar_B = alphas_cumprod_T.to(timestep_B.device)[timestep_B].float()
        return (abar_B / (1 - abar_B)).clamp(max=self.snr_ceiling) / self.snr_ceiling


def gated_mean(loss_B: Tensor, weight_B: Tensor) -> Tensor:
    """Return sum(weight * loss) / B, a scalar: with all weights 1, the plain mean.

    Divided by the number of clips, not by the sum of weights: a batch of noisy clips must not
    count like a batch of clean ones.
    """
    return (loss_B * weight_B).mean()
