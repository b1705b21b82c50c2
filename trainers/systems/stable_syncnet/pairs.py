"""StableSyncNet's input layout, and the drawing of pairs and negatives.

Shape suffixes: B windows, F frames, C colours or latent channels, H height, W width.
Source: LatentSync's published configurations and data loading (see docs/stable_syncnet.md).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.pixel_range import signed_from_array

Negatives = Literal["non_overlapping", "compat"]
"""Which windows of the same clip may be negatives for a sound.

non_overlapping: no common frame with the right one. compat: any other start, as LatentSync: in a
clip of 250 frames one negative in eight shares 1 to 15 of its 16 frames with the right window."""


@dataclass(frozen=True, slots=True)
class SyncPair:
    """One training pair of a clip; both windows have the same length."""

    visual_start_frame: int
    audio_start_frame: int

    @property
    def in_sync(self) -> bool:
        """The label: whether picture and sound are of one moment."""
        return self.visual_start_frame == self.audio_start_frame


def scaled_frames(frames_FHWC: NDArray[np.uint8]) -> Tensor:
    """Return pictures (F, C, H, W) in -1 ... 1, float32, of (F, H, W, C) bytes."""
    return signed_from_array(frames_FHWC.transpose(0, 3, 1, 2))


def lower_half(frames: Tensor) -> Tensor:
    """Return rows H // 2 to the end of (..., H, W): nose tip to chin of a face crop."""
    return frames[..., frames.shape[-2] // 2 :, :]


def stacked(frames_BFCHW: Tensor) -> Tensor:
    """Return (B, F * C, H, W): frame by frame, inside of a frame colour by colour."""
    return frames_BFCHW.flatten(1, 2)


def pixel_input(frames_BFCHW: Tensor) -> Tensor:
    """Return the input of the pixel configurations, (B, F * C, H / 2, W), from faces in -1 ... 1.

    The input of the latent configuration is `stacked` latents (x 0.18215) of the whole face.
    """
    return stacked(lower_half(frames_BFCHW))


def window_input(frames_FHWC: NDArray[np.uint8]) -> Tensor:
    """Return one input window of the pixel configurations, (F * 3, H / 2, W), from RGB bytes.

    The same as `pixel_input` of the scaled frames, but only the lower half is ever scaled.
    """
    return scaled_frames(frames_FHWC[:, frames_FHWC.shape[1] // 2 :]).flatten(0, 1)


def draw_pair(
    rng: np.random.Generator,
    num_frames: int,
    window_frames: int = 16,
    negatives: Negatives = "non_overlapping",
    positive_share: float = 0.5,
) -> SyncPair:
    """Draw a pair from a clip. The sound's window is drawn first, alike for both labels.

    Sounds without any allowed negative are left out of the positives too: otherwise their
    position in the clip would reveal the label.

    Raises:
        ValueError: the clip has under 2 * `window_frames` frames, so no window without overlap;
            LatentSync asks for as many.
    """
    starts = _starts(num_frames, window_frames, negatives)
    start = int(starts[rng.integers(len(starts))])
    if rng.random() < positive_share:
        return SyncPair(start, start)
    return SyncPair(draw_negative(rng, start, num_frames, window_frames, negatives), start)


def draw_negative(
    rng: np.random.Generator,
    start_frame: int,
    num_frames: int,
    window_frames: int = 16,
    negatives: Negatives = "non_overlapping",
) -> int:
    """Return the start of a negative for the window at `start_frame`, uniformly drawn.

    Raises:
        ValueError: the clip has none.
    """
    starts: NDArray[Any] = np.arange(num_frames - window_frames + 1)
    nearest = _nearest_frames(window_frames, negatives)
    allowed = starts[np.abs(starts - start_frame) >= nearest]
    if not len(allowed):
        raise ValueError(
            f"{num_frames} frames hold no {negatives} negative of {window_frames} frames for the "
            f"window at frame {start_frame}"
        )
    return int(allowed[rng.integers(len(allowed))])


def draw_windows(
    rng: np.random.Generator,
    num_frames: int,
    count: int,
    window_frames: int = 16,
    negatives: Negatives = "non_overlapping",
) -> NDArray[np.int64]:
    """Draw the starts (K,) of `count` windows of a clip.

    The first two are a sound and a negative of it, so that there is one; the rest are spread over
    the clip, one in each of K - 2 equal parts.

    Raises:
        ValueError: as `draw_pair`.
    """
    pair = draw_pair(rng, num_frames, window_frames, negatives, positive_share=0.0)
    spread = (np.arange(count - 2) + rng.random(count - 2)) / max(count - 2, 1)
    others = (spread * (num_frames - window_frames + 1)).astype(np.int64)
    return np.concatenate([[pair.audio_start_frame, pair.visual_start_frame], others])


def even_windows(num_frames: int, count: int, window_frames: int = 16) -> NDArray[np.int64]:
    """Return the starts (K,) of `count` windows, evenly spaced from a clip's first to its last."""
    return np.linspace(0, num_frames - window_frames, count).round().astype(np.int64)


def sync_labels(
    starts_K: NDArray[np.int64], window_frames: int = 16, negatives: Negatives = "non_overlapping"
) -> NDArray[np.int8]:
    """Return (K, K), rows sounds, columns pictures: 1 own picture, 0 negative, -1 not counted.

    Windows that are neither the same nor allowed as negatives do not count. Nor does a positive
    whose sound has no negative here: otherwise its position would reveal the label.
    """
    gaps_KK = np.abs(starts_K[:, None] - starts_K[None])
    labels_KK = np.where(gaps_KK >= _nearest_frames(window_frames, negatives), 0, -1)
    has_negative = (labels_KK == 0).any(axis=1)
    np.fill_diagonal(labels_KK, np.where(has_negative, 1, -1))
    return labels_KK.astype(np.int8)


def _starts(num_frames: int, window_frames: int, negatives: Negatives) -> NDArray[Any]:
    """Return the windows that have a negative."""
    if num_frames < 2 * window_frames:
        raise ValueError(f"{num_frames} frames, {2 * window_frames} needed for a negative")
    last = num_frames - window_frames
    starts: NDArray[Any] = np.arange(last + 1)
    nearest = _nearest_frames(window_frames, negatives)
    return starts[(starts >= nearest) | (starts <= last - nearest)]


def _nearest_frames(window_frames: int, negatives: Negatives) -> int:
    return {"non_overlapping": window_frames, "compat": 1}[negatives]
