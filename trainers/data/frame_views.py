"""Views of decoded clips that the pixel losses share: single frames, resizing.

Shape suffixes: B clips, C colours, F frames, H height, W width; N = B * F pictures, clip by clip.
"""

from torch import Tensor
from torch.nn import functional


def frames_of(video_BCFHW: Tensor) -> Tensor:
    """Return the pictures (N, C, H, W): all frames of the first clip, then of the next."""
    return video_BCFHW.transpose(1, 2).flatten(0, 1)


def clips_of(frames_NCHW: Tensor, clips: int) -> Tensor:
    """Undo `frames_of`: return (B, C, F, H, W) for B = `clips`."""
    return frames_NCHW.reshape(clips, -1, *frames_NCHW.shape[1:]).transpose(1, 2)


def resized(frames_NCHW: Tensor, size: int, antialias: bool = False) -> Tensor:
    """Return (N, C, size, size), bicubic; untouched if it fits.

    Without antialias as in LatentSync's losses, although its data are resized with it.
    """
    if frames_NCHW.shape[-2:] == (size, size):
        return frames_NCHW
    return functional.interpolate(
        frames_NCHW, (size, size), mode="bicubic", align_corners=False, antialias=antialias
    )
