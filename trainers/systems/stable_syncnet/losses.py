"""Losses on the cosine of two embeddings.

Pairs one by one: binary cross-entropy, as published. All windows of a clip against one another: the
same over their matrix, and a cross-entropy of finding the right partner.

Shape suffixes: B pairs or items, D embedding, K windows of an item (rows: sounds, columns:
pictures).
Source: Wav2Lip (Prajwal et al. 2020), LatentSync (Li et al. 2024): cosine in place of a logit;
multi-way matching of Chung et al., "Perfect Match" (2019), in the form of InfoNCE (van den Oord et
al. 2018).
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

    Each logarithm ends at -100, so one pair costs 100 at most, and teaches nothing where it costs
    that: PyTorch's gradient there is 10^12, and the rounding of a cosine of 1 would give it a
    direction. (A pair in sync with cosine 0 could teach nothing anyway: its embeddings have no
    component in common, and where one has a component the ReLU behind the other tower is shut.)

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
    worst_B = safe_B == torch.where(in_sync_B.bool(), 0, 1)
    safe_B = torch.where(worst_B, safe_B.detach(), safe_B)
    with torch.autocast(cosine_B.device.type, enabled=False):  # refused under fp16 autocast
        loss_B = functional.binary_cross_entropy(safe_B, in_sync_B.to(safe_B), reduction="none")
    return torch.where(inside, loss_B, torch.full_like(loss_B, torch.nan))


def sync_accuracy(cosine_B: Tensor, in_sync_B: Tensor) -> Tensor:
    """Return the share of pairs on their side of 0.5, a scalar: the published accuracy."""
    return ((cosine_B > IN_SYNC_ABOVE) == in_sync_B.bool()).float().mean()


def matrix_bce(cosine_BKK: Tensor, in_sync_BKK: Tensor, clamp: bool = False) -> Tensor:
    """Return the loss (B,) of each item: half the mean over its positives, half over its negatives.

    Args:
        in_sync_BKK: 1 for pairs of one moment, 0 for others, -1 for pairs that do not count. Each
            item has a 1 and a 0.
        clamp: as in `cosine_bce`.
    """
    loss_BKK = cosine_bce(cosine_BKK, in_sync_BKK == 1, clamp)
    return (masked_mean(loss_BKK, in_sync_BKK == 1) + masked_mean(loss_BKK, in_sync_BKK == 0)) / 2


def matching_loss(cosine_BKK: Tensor, in_sync_BKK: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy (B,) of finding each sound's picture, and each picture's sound.

    The mean of both ways; a window competes with all that are marked 0 against it. Windows whose
    own pair does not count are left out.

    Args:
        in_sync_BKK: as in `matrix_bce`; ones only on the diagonal.
    """
    logits_BKK = (cosine_BKK / temperature).masked_fill(in_sync_BKK < 0, -torch.inf)
    right_BK = in_sync_BKK.diagonal(dim1=1, dim2=2) == 1
    own_BK = cosine_BKK.diagonal(dim1=1, dim2=2) / temperature
    ways = []
    for dim in (1, 2):
        # A row without any finite logit is one that does not count.
        safe = torch.where(right_BK.unsqueeze(dim), logits_BKK, torch.zeros_like(logits_BKK))
        ways.append(masked_mean(safe.logsumexp(dim) - own_BK, right_BK))
    return (ways[0] + ways[1]) / 2


def ranking_accuracy(cosine_BKK: Tensor, in_sync_BKK: Tensor) -> Tensor:
    """Return (B,): how often a sound's own picture beats a wrong one, ties half; 0.5 is chance.

    Args:
        in_sync_BKK: as in `matching_loss`.
    """
    own_BK1 = cosine_BKK.diagonal(dim1=1, dim2=2).unsqueeze(2)
    won_BKK = (own_BK1 > cosine_BKK).float() + (own_BK1 == cosine_BKK).float() / 2
    counts_BK1 = in_sync_BKK.diagonal(dim1=1, dim2=2).unsqueeze(2) == 1
    return masked_mean(won_BKK, (in_sync_BKK == 0) & counts_BK1)


def matrix_accuracy(cosine_BKK: Tensor, in_sync_BKK: Tensor) -> Tensor:
    """Return (B,) the published accuracy of each item, positives and negatives weighing half each.

    That is what drawing pairs one half in sync gives on average.
    """
    above_BKK = (cosine_BKK > IN_SYNC_ABOVE).float()
    right = masked_mean(above_BKK, in_sync_BKK == 1) + masked_mean(1 - above_BKK, in_sync_BKK == 0)
    return right / 2


def masked_mean(values_BX: Tensor, chosen_BX: Tensor) -> Tensor:
    """Return the mean (B,) over the chosen entries of each item; 0 for an item without any."""
    values, chosen = values_BX.flatten(1), chosen_BX.flatten(1)
    kept = torch.where(chosen, values, torch.zeros_like(values))
    return kept.sum(1) / chosen.sum(1).clamp(min=1)
