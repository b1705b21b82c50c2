"""Image augmentation, drawn once per item and applied to all its frames alike.

Shape suffixes: F frames, C colours, H and W pixels.
"""

import io
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from trainers.errors import TrainingDataError

Bytes = NDArray[np.uint8]
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Of ITU-R BT.709."""
X264 = "threads=1:bframes=0:cpu-independent=1"
"""Without B-frames: with them x264 gave one of seven results for the same small frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Probabilities and strengths. The default changes nothing."""

    flip: float = 0.0
    """Share of items mirrored left to right."""
    colour: float = 0.0
    """Share of items with other brightness, contrast and saturation."""
    colour_strength: float = 0.2
    """Each factor lies between 1 - strength and 1 + strength."""
    jpeg: float = 0.0
    """Share of items compressed as JPEG, all frames with one quality."""
    jpeg_quality: tuple[int, int] = (40, 95)
    h264: float = 0.0
    """Share of items compressed as H.264: the artefacts of web video."""
    h264_crf: tuple[int, int] = (18, 35)

    def __post_init__(self) -> None:
        for name in ("flip", "colour", "jpeg", "h264"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingDataError(f"augmentation: {name} must be a share, 0 to 1")
        if not 0 <= self.colour_strength < 1:
            raise TrainingDataError("augmentation: colour_strength must be in [0, 1)")
        for name, (low, high) in (("jpeg_quality", (1, 100)), ("h264_crf", (1, 51))):
            first, last = getattr(self, name)
            if not low <= first <= last <= high:
                raise TrainingDataError(f"augmentation: {name} must rise within {low} to {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationDraw:
    """The augmentation drawn for one item."""

    flip: bool = False
    factors: tuple[float, float, float] | None = None
    """Brightness, contrast, saturation."""
    jpeg_quality: int | None = None
    h264_crf: int | None = None


def draw_augmentation(config: Augmentation, rng: np.random.Generator) -> AugmentationDraw:
    """Draw for one item. Uses a fixed number of random numbers, so that options are independent."""
    flip, colour, jpeg, h264 = rng.random(4)
    low, high = 1 - config.colour_strength, 1 + config.colour_strength
    brightness, contrast, saturation = rng.uniform(low, high, 3).tolist()
    quality = int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
    crf = int(rng.integers(config.h264_crf[0], config.h264_crf[1] + 1))
    return AugmentationDraw(
        flip=bool(flip < config.flip),
        factors=(brightness, contrast, saturation) if colour < config.colour else None,
        jpeg_quality=quality if jpeg < config.jpeg else None,
        h264_crf=crf if h264 < config.h264 else None,
    )


def augmented(frames_FCHW: Bytes, drawn: AugmentationDraw) -> Bytes:
    """Return an augmented copy, (F, 3, H, W) uint8; the same array if nothing was drawn."""
    out = np.ascontiguousarray(frames_FCHW[..., ::-1]) if drawn.flip else frames_FCHW
    if drawn.factors is not None:
        out = colour_jittered(out, *drawn.factors)
    if drawn.jpeg_quality is not None:
        out = jpeg_compressed(out, drawn.jpeg_quality)
    if drawn.h264_crf is not None:
        out = h264_compressed(out, drawn.h264_crf)
    return out


def colour_jittered(
    frames_FCHW: Bytes, brightness: float, contrast: float, saturation: float
) -> Bytes:
    """Scale brightness around 0, contrast around the mean luma, saturation around each luma."""
    pixels = frames_FCHW.astype(np.float32) * brightness
    luma = np.einsum("fchw,c->fhw", pixels, LUMA)[:, None]
    pixels = luma + saturation * (pixels - luma)
    mean = luma.mean(dtype=np.float64)
    return np.asarray(np.clip(np.rint(mean + contrast * (pixels - mean)), 0, 255), np.uint8)


def jpeg_compressed(frames_FCHW: Bytes, quality: int) -> Bytes:
    """Return the frames compressed as JPEG of this quality."""
    out = np.empty_like(frames_FCHW)
    for number, frame_CHW in enumerate(frames_FCHW):
        bgr = np.ascontiguousarray(frame_CHW[::-1].transpose(1, 2, 0))
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        assert decoded is not None
        out[number] = decoded[..., ::-1].transpose(2, 0, 1)
    return out


def h264_compressed(frames_FCHW: Bytes, crf: int) -> Bytes:
    """Return the frames compressed by x264 (veryfast, no B-frames); H and W must be even."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": "veryfast", "x264-params": X264}
        stream = container.add_stream("libx264", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames_FCHW.shape[2:]
        stream.pix_fmt = "yuv420p"
        for number, frame_CHW in enumerate(frames_FCHW):
            rgb = np.ascontiguousarray(frame_CHW.transpose(1, 2, 0))
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as stored:
        frames = [f.to_ndarray(format="rgb24") for f in stored.decode(video=0)]
    return np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2))
