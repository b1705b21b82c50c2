"""Perceptual loss and triplets on features of VGG-19.

The distance D of two pictures is the mean over the five feature maps of the root mean square
difference of their values. It does not depend on the size of the pictures or of the maps; features
of the published VGG-19 are of the order of 1, and so is D.

Shape suffixes: N pictures, C channels, H height, W width.
Source: Johnson et al., "Perceptual Losses" (2016); Yaman et al. (ECCV 2024).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""c_i. The paper refers to Johnson's, who compares four layers of VGG-16 and gives none for five of
VGG-19; these are those of Wang et al. (pix2pixHD, 2018)."""
TRIPLET_MARGIN = 1.0

Features = Sequence[Tensor]
"""Maps (N, C, H, W) of five layers."""


def perceptual_loss(made: Features, real: Features) -> Tensor:
    """Return the sum over layers of c_i times the mean absolute difference, (N,)."""
    layers = [
        weight * (_wide(ours) - _wide(theirs)).abs().flatten(1).mean(dim=1)
        for weight, ours, theirs in zip(LAYER_WEIGHTS, made, real, strict=True)
    ]
    return torch.stack(layers).sum(dim=0)


def distance(ours: Features, theirs: Features) -> Tensor:
    """Return D (N,); its gradient is 0 where the features are equal."""
    layers = []
    for one, other in zip(ours, theirs, strict=True):
        difference_NX = (_wide(one) - _wide(other)).flatten(1)
        length_N = torch.linalg.vector_norm(difference_NX, dim=1)
        layers.append(length_N / difference_NX.shape[1] ** 0.5)
    return torch.stack(layers).mean(dim=0)


def adaptive_triplet_loss(
    made_to_real_N: Tensor, made_to_reference_N: Tensor, real_to_reference_N: Tensor, floor: float
) -> Tensor:
    """Return max(D(made, real) - D(made, reference) / D(real, reference) + 1, eps), (N,).

    A distance minus a ratio: what it weighs depends on D's scale. The ratio a / b is guarded as
    (a b + f^2) / (b^2 + f^2): the same where b is large against f; 1 wherever made is real; and
    where the reference is the real picture (b = 0) it is 1 and pushes nowhere, so that the loss
    is D(made, real) + 0.

    Args:
        floor: f, and eps.
    """
    a_N, b_N = made_to_reference_N, real_to_reference_N.detach()
    ratio_N = (a_N * b_N + floor**2) / (b_N.square() + floor**2)
    return (made_to_real_N - ratio_N + TRIPLET_MARGIN).clamp(min=floor)


def triplet_loss(made_to_real_N: Tensor, made_to_reference_N: Tensor) -> Tensor:
    """Return max(D(made, real) - D(made, reference) + 1, 0), (N,): the plain triplet."""
    return (made_to_real_N - made_to_reference_N + TRIPLET_MARGIN).clamp(min=0)


def _wide(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))
