"""Stabilized synchronization loss, and Wav2Lip's.

Shape suffixes: B windows.
Source: Yaman et al. (ECCV 2024); Prajwal et al., "Wav2Lip" (2020).
"""

import torch
from torch import Tensor

from trainers.systems.stable_syncnet.losses import cosine_bce


def stabilized_sync_loss(
    made_B: Tensor, real_B: Tensor, reference_B: Tensor, floor: float
) -> Tensor:
    """Return log((|x - y| + |y - d| + eps) / |y - d|), (B,) float32 or wider.

    0 (but for eps) where the made picture is as synchronous as the real one, however well the sync
    network likes that; the larger, the nearer the reference comes to being in sync by itself.
    Written as log1p((|x - y| + eps) / |y - d|); |y - d| is at least eps, so the gradient is at most
    1 / (2 eps).

    Args:
        made_B: x, cosine of the made pictures and the sound; the only one that gets a gradient.
        real_B: y, of the real pictures.
        reference_B: d, of the pictures of the identity reference.
        floor: eps.
    """
    wide = torch.promote_types(made_B.dtype, torch.float32)
    x_B, y_B, d_B = (one.to(wide) for one in (made_B, real_B.detach(), reference_B.detach()))
    apart_B = (y_B - d_B).abs().clamp(min=floor)
    return torch.log1p(((x_B - y_B).abs() + floor) / apart_B)


def wav2lip_sync_loss(made_B: Tensor) -> Tensor:
    """Return -log(x), (B,): the made pictures are to be in sync, whatever the real ones are."""
    return cosine_bce(made_B, torch.ones_like(made_B), clamp=True)
