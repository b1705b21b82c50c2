"""The loss of the classifier of covered mouths.

Shapes: B = batch.
"""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

SMOOTHING = 0.02
"""No target is surer than 1 minus this: a cover's edge is where the landmarks put the lips."""


def cover_loss(log_odds_B: Tensor, covered_B: Tensor, weight: Tensor) -> Tensor:
    """Return the mean cross-entropy.

    Args:
        covered_B: 1 or 0.
        weight: of a covered sample, in free ones.
    """
    target_B = covered_B * (1 - 2 * SMOOTHING) + SMOOTHING
    return binary_cross_entropy_with_logits(log_odds_B, target_B, pos_weight=weight)
