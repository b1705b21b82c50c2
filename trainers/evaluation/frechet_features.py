"""What the Fréchet distances compare: features of frames (FID), of 16-frame windows (FVD).

Shape suffixes: T frames, N windows, F = 16 frames, D features, H and W pixels.
Source: FID as pytorch-fid prepares pictures (inception_fid.py); FVD with VideoMAE-v2's features as
Ge et al., "On the Content Bias in Fréchet Video Distance" (CVPR 2024), whose weights are TREPA's:
not comparable with the usual FVD of I3D features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainers.frozen import registry as frozen

Pixels = NDArray[np.uint8]

NONE = "none"
WINDOW_FRAMES, VIDEO_PX = 16, 224
AT_ONCE_FRAMES, AT_ONCE_WINDOWS = 16, 1


@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """A named network, and how a clip becomes its input."""

    metric: str
    """`fid` or `fvd_videomae`; with random weights `..._stand_in`: another number, another name."""
    name: str
    """In the registry (trainers/frozen/registry.py)."""
    network: nn.Module
    inputs: Callable[[Pixels], Tensor]
    at_once: int

    def of(self, frames_TCHW: Pixels, device: torch.device) -> Tensor:
        """Return the features (N, D) of a clip, on the CPU; N = 0 where it is too short."""
        network = self.network.to(device)
        samples = self.inputs(frames_TCHW)
        with torch.inference_mode():
            found = [
                network(as_floats(piece).to(device)).float().cpu()
                for piece in torch.split(samples, self.at_once)
                if len(piece)
            ]
        return torch.cat(found) if found else torch.empty(0, 0)


def fid_network(name: str) -> FeatureNetwork | None:
    """Return the network of the Fréchet inception distance; None for `none`.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent or altered.
    """
    if name == NONE:
        return None
    part = frozen.inception(name)
    return FeatureNetwork(_metric("fid", name), name, part.network, _frames, AT_ONCE_FRAMES)


def fvd_network(name: str) -> FeatureNetwork | None:
    """Return the network of the Fréchet video distance; None for `none`.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent or altered.
    """
    if name == NONE:
        return None
    part = frozen.videomae(name, gradient_checkpointing=False)
    metric = _metric("fvd_videomae", name)
    return FeatureNetwork(metric, name, part.network, video_windows, AT_ONCE_WINDOWS)


def video_windows(frames_TCHW: Pixels) -> Tensor:
    """Return windows that share no frame, (T // 16, 3, 16, H, W) uint8."""
    count = len(frames_TCHW) // WINDOW_FRAMES
    frames = _frames(frames_TCHW[: count * WINDOW_FRAMES])
    return frames.reshape(count, WINDOW_FRAMES, *frames.shape[1:]).transpose(1, 2)


def as_floats(pixels: Tensor) -> Tensor:
    """Return bytes as 0 ... 1; windows (N, 3, F, H, W) scaled to 224 x 224 (bilinear) as well."""
    scaled = pixels.float() / 255
    if scaled.ndim == 4:
        return scaled
    size = (scaled.shape[2], VIDEO_PX, VIDEO_PX)
    return functional.interpolate(scaled, size, mode="trilinear", align_corners=False)


def _frames(frames_TCHW: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames_TCHW))


def _metric(metric: str, name: str) -> str:
    return f"{metric}_stand_in" if name.startswith(frozen.STAND_IN) else metric
