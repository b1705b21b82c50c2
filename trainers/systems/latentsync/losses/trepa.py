"""TREPA: distance of the video features of generated and real clips.

Shape suffixes: B clips, F frames, H height, W width, D feature.
Source: LatentSync (Li et al. 2024, arXiv 2412.09262), temporal representation alignment.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from trainers.data.frame_views import clips_of, frames_of, resized

VIDEOMAE_SIZE = 224

Encoder = Callable[[Tensor], Tensor]
"""(B, 3, F, 224, 224) in 0 ... 1 -> features (B, D)."""


def trepa_view(video_B3FHW: Tensor) -> Tensor:
    """Return VideoMAE's input: 224 x 224, bicubic, values / 2 + 0.5 cut to 0 ... 1.

    Without ImageNet's mean and deviation, as LatentSync, although VideoMAE was trained with them.
    """
    small = resized(frames_of(video_B3FHW), VIDEOMAE_SIZE)
    return clips_of((small / 2 + 0.5).clamp(0, 1), len(video_B3FHW))


def trepa_loss(video_B3FHW: Tensor, real_B3FHW: Tensor, encoder: Encoder) -> Tensor:
    """Return the mean square difference (B,) of the unit features: 2 (1 - cos) / D, float32.

    With D = 1408 at most 0.0029 (cosines are rarely negative: 0.0014), hence its weight of 10.

    Args:
        video_B3FHW: decoded frames, RGB, about -1 ... 1.
        real_B3FHW: the original frames; no gradient is kept for them.
        encoder: `trainers.frozen.videomae.VideoMaeEncoder`, frozen; gradients pass through it.
    """
    made_BD = encoder(trepa_view(video_B3FHW)).float()
    with torch.no_grad():
        real_BD = encoder(trepa_view(real_B3FHW)).float()
    unit_made_BD = functional.normalize(made_BD, dim=1)
    unit_real_BD = functional.normalize(real_BD, dim=1)
    return (unit_made_BD - unit_real_BD).square().mean(dim=1)
