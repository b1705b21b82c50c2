"""The noise of the diffusion model: drawing it, and the loss on its prediction.

Shape suffixes: B clips, C latent channels, F frames, H height, W width.
Source: mixed noise of Ge et al., "Preserve Your Own Correlation" (ICCV 2023, arXiv 2305.10474),
with alpha 1 as LatentSync trains.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def mixed_noise(
    shape_BCFHW: tuple[int, int, int, int, int], generator: torch.Generator, alpha: float = 1.0
) -> Tensor:
    """Draw noise of unit variance that is partly one picture repeated over the frames.

    The shared part has variance a^2 / (1 + a^2), each frame's own part 1 / (1 + a^2); two frames
    of a clip correlate by a^2 / (1 + a^2): 0.5 with alpha 1.

    Args:
        generator: decides every value; the noise lies on its device, float32. Draw clip by clip
            (B = 1), each with its own seed, when the batch's size must not matter.
        alpha: 0 = every frame by itself.

    Raises:
        ValueError: alpha is negative or not finite.
    """
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha is {alpha}; give 0 or more, or use shared_noise")
    shared_BC1HW = _one_frame(shape_BCFHW, generator)
    own_BCFHW = torch.randn(shape_BCFHW, generator=generator, device=generator.device)
    share = alpha**2 / (1 + alpha**2)
    return shared_BC1HW * math.sqrt(share) + own_BCFHW * math.sqrt(1 - share)


def shared_noise(shape_BCFHW: tuple[int, int, int, int, int], generator: torch.Generator) -> Tensor:
    """Draw one noise picture per clip and repeat it over the frames: what sampling starts from."""
    return _one_frame(shape_BCFHW, generator).expand(shape_BCFHW).clone()


def noise_mse(predicted_BCFHW: Tensor, noise_BCFHW: Tensor) -> Tensor:
    """Return the mean square error of the predicted noise, a scalar in float32.

    Over all latent positions: the repaint mask plays no part, as in LatentSync.
    """
    return functional.mse_loss(predicted_BCFHW.float(), noise_BCFHW.float())


def weighted_mse(predicted_BCFHW: Tensor, target_BCFHW: Tensor, weight_1C1HW: Tensor) -> Tensor:
    """Return the mean square error where the weight lies, a scalar in float32.

    Args:
        weight_1C1HW: share of each latent that counts, the same in all frames: the mask's hole.
    """
    squares = (predicted_BCFHW.float() - target_BCFHW.float()).square() * weight_1C1HW
    clips, _, frames = squares.shape[:3]
    return squares.sum() / (weight_1C1HW.sum() * clips * frames)


def _one_frame(shape: tuple[int, int, int, int, int], generator: torch.Generator) -> Tensor:
    clips, channels, _, height, width = shape
    size = (clips, channels, 1, height, width)
    return torch.randn(size, generator=generator, device=generator.device)
