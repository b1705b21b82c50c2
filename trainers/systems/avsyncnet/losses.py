"""What AVSyncNet minimises: binary cross-entropy of the cosine, and optionally our contrast.

Shape suffixes: B pairs or items, K windows of an item (rows: sounds, columns: pictures).
"""

from torch import Tensor

from trainers.systems.stable_syncnet.losses import cosine_bce, matching_loss, matrix_bce


def pair_terms(cosine_B: Tensor, in_sync_B: Tensor) -> dict[str, Tensor]:
    """Return the published term, of pairs one by one."""
    return {"bce": cosine_bce(cosine_B, in_sync_B, clamp=True).mean()}


def window_terms(
    cosine_BKK: Tensor, in_sync_BKK: Tensor, contrast_weight: float, temperature: float
) -> dict[str, Tensor]:
    """Return the published term over all pairs of a clip's windows, and the weighted contrast."""
    terms = {"bce": matrix_bce(cosine_BKK, in_sync_BKK, clamp=True).mean()}
    if contrast_weight:
        contrast = matching_loss(cosine_BKK, in_sync_BKK, temperature).mean()
        terms["contrast"] = contrast_weight * contrast
    return terms
