"""The Fréchet distance of two sets of features, by torchmetrics, and whether it is meaningful.

Shape suffixes: N samples, D features.
Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
Equilibrium" (NeurIPS 2017); their code requires more samples than features, because the
covariance of fewer is singular.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance


@dataclass(frozen=True, slots=True)
class FrechetScore:
    """A distance and its sample counts."""

    distance: float
    """NaN with fewer than two samples on a side."""
    real_samples: int
    made_samples: int
    needed: int
    """Samples needed on each side: one more than there are features."""

    @property
    def enough(self) -> bool:
        """Whether both sides have the needed samples."""
        return min(self.real_samples, self.made_samples) >= self.needed

    def content(self) -> dict[str, float | int | None]:
        """Return JSON values; `value` is null if there are too few samples."""
        known = None if math.isnan(self.distance) else self.distance
        counts: dict[str, float | int | None] = {
            "real_samples": self.real_samples,
            "made_samples": self.made_samples,
            "needed_samples": self.needed,
        }
        if self.enough:
            return {"value": known, **counts}
        return {"value": None, "value_of_too_few_samples": known, **counts}


def frechet(real_ND: Tensor, made_ND: Tensor) -> FrechetScore:
    """Return the Fréchet distance of Gaussians fitted to the samples.

    Raises:
        ValueError: features of different sizes.
    """
    if real_ND.shape[1] != made_ND.shape[1]:
        raise ValueError(f"features of {real_ND.shape[1]} and {made_ND.shape[1]} numbers")
    needed = real_ND.shape[1] + 1
    if min(len(real_ND), len(made_ND)) < 2:
        return FrechetScore(float("nan"), len(real_ND), len(made_ND), needed)
    distance = FrechetInceptionDistance(feature=_PrecomputedFeatures(real_ND.shape[1]))
    distance.set_dtype(torch.float64)
    distance.update(real_ND.double(), real=True)
    distance.update(made_ND.double(), real=False)
    value = max(distance.compute().item(), 0.0)  # rounding gives -1e-14 for equal sets
    return FrechetScore(value, len(real_ND), len(made_ND), needed)


class _PrecomputedFeatures(nn.Module):
    """Identity in place of the feature network of torchmetrics, for precomputed features."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features_ND: Tensor) -> Tensor:
        return features_ND
