"""Pictures as an encoder takes them: the planes of yuv420p in one array, BT.709, limited range."""

from functools import lru_cache

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from pipeline.media.film_picture import BT709, FilmPicture
from pipeline.media.picture import EXACT

I420 = NDArray[np.uint8]
"""(H * 3 / 2, W): H rows of luma, then the chroma planes of H / 2 x W / 2, row after row."""


def i420_of(rgb: NDArray[np.uint8]) -> I420:
    """Return the planes of an (H, W, 3) RGB picture, H and W even."""
    frame = _reformatter().reformat(
        av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(rgb), format="rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=EXACT,
        threads=1,
    )
    return np.asarray(frame.to_ndarray(), np.uint8)


def rgb_of(planes: I420) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB, chroma interpolated."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    luma = planes[:height]
    cb, cr = planes[height:].reshape(2, height // 2, width // 2)
    return FilmPicture((luma, cb, cr), BT709).rgb


@lru_cache(maxsize=1)
def _reformatter() -> VideoReformatter:
    return VideoReformatter()
