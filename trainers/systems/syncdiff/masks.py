"""The mask of SyncDiff: the lower half of an aligned face is generated.

Shape suffixes: H and W pixels.
"""

import torch
from torch import Tensor


def lower_half_kept_out(size_px: int) -> Tensor:
    """Return the mask of a face, (1, 1, H, W) float32: 1 = keep, 0 = generate.

    Args:
        size_px: height and width of the face.
    """
    rows = torch.arange(size_px)[:, None].expand(size_px, size_px)
    return (rows < size_px // 2).float()[None, None]
