"""Binary cross-entropy on the cosine of two embeddings: what StableSyncNet is trained with.

Shape suffixes: B pairs, D embedding.
Source: Wav2Lip (Prajwal et al. 2020), LatentSync (Li et al. 2024); cosine in place of a logit.
"""

import torch
from torch import Tensor
from torch.nn import functional

COSINE_EPS = 1e-8
"""Lower bound of the product of both lengths, so that a zero vector gives cosine 0."""
IN_SYNC_ABOVE = 0.5
"""A pair counts as in sync above this cosine, in the published accuracy."""


def cosine(vision_BD: Tensor, audio_BD: Tensor) -> Tensor:
    """Return the cosine (B,) of each pair, in float32 or wider."""
    wide = torch.promote_types(vision_BD.dtype, torch.float32)
    return functional.cosine_similarity(
        vision_BD.to(wide), audio_BD.to(wide), dim=1, eps=COSINE_EPS
    )


def cosine_bce(cosine_B: Tensor, in_sync_B: Tensor, clamp: bool = False) -> Tensor:
    """Return the loss (B,) of each pair: -log(cos) in sync, -log(1 - cos) out of sync.

    Each logarithm ends at -100, so one pair costs 100 at most. A pair in sync with cosine 0 costs
    that and teaches nothing: its embeddings have no component in common, and where one has a
    component the ReLU behind the other tower is shut.

    Args:
        in_sync_B: (B,) 1 or True for pairs of one moment, 0 or False for others.
        clamp: cut cosines to 0 ... 1 first, as MuseTalk does. Without it a cosine outside, which
            rounding can give (1 + 1e-7), makes NaN here, where the plain loss of PyTorch would
            stop a CUDA process by a device assertion that names nothing.
    """
    if clamp:
        cosine_B = cosine_B.clamp(0, 1)
    inside = (cosine_B >= 0) & (cosine_B <= 1)
    safe_B = torch.where(inside, cosine_B, torch.full_like(cosine_B, 0.5))
    with torch.autocast(cosine_B.device.type, enabled=False):  # refused under fp16 autocast
        loss_B = functional.binary_cross_entropy(safe_B, in_sync_B.to(safe_B), reduction="none")
    return torch.where(inside, loss_B, torch.full_like(loss_B, torch.nan))


def sync_accuracy(cosine_B: Tensor, in_sync_B: Tensor) -> Tensor:
    """Return the share of pairs on their side of 0.5, a scalar: the published accuracy."""
    return ((cosine_B > IN_SYNC_ABOVE) == in_sync_B.bool()).float().mean()
