"""LPIPS on the lower half of every frame.

Shape suffixes: B clips, F frames, N = B * F pictures, H height, W width.
Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features" (CVPR 2018); on the lower
half as LatentSync does.
"""

from collections.abc import Callable

from torch import Tensor

from trainers.data.frame_views import frames_of
from trainers.systems.stable_syncnet.pairs import lower_half

Distance = Callable[[Tensor, Tensor], Tensor]
"""Two stacks of pictures (N, 3, H, W), -1 ... 1 -> their distances (N,)."""


def lpips_lower_half(video_B3FHW: Tensor, real_B3FHW: Tensor, lpips: Distance) -> Tensor:
    """Return the mean distance (B,) over a clip's frames, at native resolution.

    Args:
        video_B3FHW: decoded frames, RGB, about -1 ... 1, NOT clamped.
        real_B3FHW: the original frames, not what the VAE makes of them.
        lpips: `trainers.frozen.lpips_vgg.LpipsVgg`, frozen.
    """
    made, real = (lower_half(frames_of(video)) for video in (video_B3FHW, real_B3FHW))
    return lpips(made, real).reshape(len(video_B3FHW), -1).mean(dim=1)
