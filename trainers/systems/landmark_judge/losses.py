"""Losses of the landmark judge's network.

Shape suffixes: B chunks, T frames, D embedding, K offsets.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.judge.curve import MAX_OFFSET_FRAMES


def window_loss(picture_BTD: Tensor, sound_BTD: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE of each window against all others of its chunk, picture to sound and back; a scalar.

    The direct neighbours are left out of the negatives: they are nearly in sync.
    Source: InfoNCE, van den Oord et al. (2018).
    """
    logits_BTT = scale * picture_BTD @ sound_BTD.transpose(1, 2)
    frames = logits_BTT.shape[1]
    place = torch.arange(frames)
    near = (place[:, None] - place).abs() == 1
    logits_BTT = logits_BTT.masked_fill(near, float("-inf"))
    target = place.repeat(len(logits_BTT))
    forth = functional.cross_entropy(logits_BTT.flatten(0, 1), target)
    back = functional.cross_entropy(logits_BTT.transpose(1, 2).flatten(0, 1), target)
    return (forth + back) / 2


def curve_loss(picture_BTD: Tensor, sound_BTD: Tensor, scale: Tensor) -> Tensor:
    """Cross entropy of offset 0 against the other 30, on means over the chunk, as in scoring."""
    cosine_BTT = picture_BTD @ sound_BTD.transpose(1, 2)
    span = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    means = [torch.diagonal(cosine_BTT, -lag, 1, 2).mean(dim=1) for lag in span]
    logits_BK = 2 * scale * torch.stack(means, dim=1)
    near = torch.tensor([abs(lag) == 1 for lag in span])
    logits_BK = logits_BK.masked_fill(near, float("-inf"))
    return functional.cross_entropy(logits_BK, torch.full((len(logits_BK),), MAX_OFFSET_FRAMES))
