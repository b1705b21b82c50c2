"""The adversarial loss, as a hinge. The paper does not say which form it takes.

The hinge is what spectral norm was published with: it stops pushing where the discriminator is sure
by a margin of 1, and the generator's gradient does not vanish where the discriminator has won.

Shape suffixes: N faces, H and W patches.
Source: Lim and Ye, "Geometric GAN" (2017); Miyato et al., "Spectral Normalization" (2018).
"""

from torch import Tensor
from torch.nn import functional


def judge_loss(real_NHW: Tensor, made_NHW: Tensor) -> Tensor:
    """Return what the discriminator minimises, (N,)."""
    missed = functional.relu(1 - real_NHW) + functional.relu(1 + made_NHW)
    return missed.float().flatten(1).mean(dim=1)


def deceiving_loss(made_NHW: Tensor) -> Tensor:
    """Return what the generator minimises, (N,)."""
    return -made_NHW.float().flatten(1).mean(dim=1)
