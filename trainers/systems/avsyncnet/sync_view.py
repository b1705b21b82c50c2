"""What AVSyncNet sees of whole faces: their lower halves, in its size.

Shape suffixes: B windows, F = 5 frames, C = 3 colours, H and W pixels.
"""

from torch import Tensor

from trainers.data.frame_views import resized
from trainers.systems.stable_syncnet.pairs import lower_half


def sync_view(faces_BFCHW: Tensor, resolution: int) -> Tensor:
    """Return AVSyncNet's image input (B, 15, R / 2, R); gradients pass.

    Args:
        faces_BFCHW: five frames of whole faces of any size, -1 ... 1.
        resolution: R, edge of the whole face that it was trained on.
    """
    small_NCHW = lower_half(resized(faces_BFCHW.flatten(0, 1), resolution, antialias=True))
    return small_NCHW.reshape(len(faces_BFCHW), -1, *small_NCHW.shape[-2:])
