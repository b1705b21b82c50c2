"""Features for the Fréchet distances: of frames (FID) and of 16-frame windows (FVD).

Shape suffixes: T frames, N windows, F = 16 frames, D features, H and W pixels.
Source: FID with the preprocessing of pytorch-fid (inception_fid.py); FVD with VideoMAE-v2 features
as in Ge et al., "On the Content Bias in Fréchet Video Distance" (CVPR 2024), with TREPA's weights:
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
from trainers.frozen.stand_ins import STAND_IN

Pixels = NDArray[np.uint8]

NONE = "none"
WINDOW_FRAMES, VIDEO_PX = 16, 224
BATCH_FRAMES, BATCH_WINDOWS = 16, 1


@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """A named network, and the preprocessing of its input."""

    metric: str
    """`fid` or `fvd_videomae`; `..._stand_in` with random weights, as the values differ."""
    name: str
    """In the registry (trainers/frozen/registry.py)."""
    network: nn.Module
    inputs: Callable[[Pixels], Tensor]
    batch: int

    def of(self, frames_TCHW: Pixels, device: torch.device) -> Tensor:
        """Return the features (N, D) of a clip, on the CPU; N = 0 if it is too short."""
        network = self.network.to(device)
        samples = self.inputs(frames_TCHW)
        with torch.inference_mode():
            found = [
                network(as_unit_range(chunk).to(device)).float().cpu()
                for chunk in torch.split(samples, self.batch)
                if len(chunk)
            ]
        return torch.cat(found) if found else torch.empty(0, 0)


def require_known_networks(fid: str, fvd: str) -> None:
    """Fail if `evaluate.fid` or `evaluate.fvd` is no known network; before anything is loaded.

    Raises:
        ParamsError: with file, key and the known names.
    """
    for key, role, name in (("fid", "inception", fid), ("fvd", "videomae", fvd)):
        if name != NONE:
            frozen.require_known(role, name, f"params.yaml: evaluate.{key}", also=(NONE,))


def fid_network(name: str) -> FeatureNetwork | None:
    """Return the network of the Fréchet inception distance; None for `none`.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent or altered.
    """
    if name == NONE:
        return None
    loaded = frozen.inception(name)
    return FeatureNetwork(_metric("fid", name), name, loaded.network, _frames, BATCH_FRAMES)


def fvd_network(name: str) -> FeatureNetwork | None:
    """Return the network of the Fréchet video distance; None for `none`.

    Raises:
        ParamsError: no such network.
        WeightsError: its file is absent or altered.
    """
    if name == NONE:
        return None
    loaded = frozen.videomae(name, gradient_checkpointing=False)
    metric = _metric("fvd_videomae", name)
    return FeatureNetwork(metric, name, loaded.network, video_windows, BATCH_WINDOWS)


def video_windows(frames_TCHW: Pixels) -> Tensor:
    """Return non-overlapping windows, (T // 16, 3, 16, H, W) uint8."""
    count = len(frames_TCHW) // WINDOW_FRAMES
    frames = _frames(frames_TCHW[: count * WINDOW_FRAMES])
    return frames.reshape(count, WINDOW_FRAMES, *frames.shape[1:]).transpose(1, 2)


def as_unit_range(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as 0 ... 1; windows (N, 3, F, H, W) resized to 224 x 224 (bilinear)."""
    scaled = pixels.float() / 255
    if scaled.ndim == 4:
        return scaled
    size = (scaled.shape[2], VIDEO_PX, VIDEO_PX)
    return functional.interpolate(scaled, size, mode="trilinear", align_corners=False)


def _frames(frames_TCHW: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames_TCHW))


def _metric(metric: str, name: str) -> str:
    return f"{metric}_stand_in" if name.startswith(STAND_IN) else metric
