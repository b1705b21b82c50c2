"""The loss of SyncDiff: the mean square error of the prediction, and nothing else.

Shape suffixes: B frames, C latent channels, h and w latents.
Source: Ho et al., "Denoising Diffusion Probabilistic Models" (2020), equation 14.
"""

from torch import Tensor
from torch.nn import functional


def prediction_mse(predicted_BChw: Tensor, target_BChw: Tensor) -> Tensor:
    """Return the mean square error over all latents, a scalar in float32."""
    return functional.mse_loss(predicted_BChw.float(), target_BChw.float())


def hole_mse(predicted_BChw: Tensor, target_BChw: Tensor, share_1Chw: Tensor) -> Tensor:
    """Return the mean square error where a frame is generated, a scalar in float32.

    Args:
        share_1Chw: how much of each latent lies in the masked half.
    """
    squares = (predicted_BChw.float() - target_BChw.float()).square() * share_1Chw
    return squares.sum() / (share_1Chw.sum() * len(squares))
