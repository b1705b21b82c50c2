"""Sharpness, exposure and repeated frames of the aligned crop, in one pass over its frames.

Luma is the decoder's Y plane scaled to 0-255, without a colour conversion.
Shapes: T = frames, H x W = crop, h x w = small copy, L = landmarks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import spread_frames
from pipeline.media.encode import whole_frames
from pipeline.quality.cover_input import SMALL_PX, Planes, reduced
from pipeline.quality.landmarks import Floats

Luma = npt.NDArray[np.uint8]

SAMPLED_FRAMES = 12
"""Frames that sharpness and exposure are measured on, spread evenly; the rest hardly differs."""
_BLACK, _WHITE = 5, 250
"""Luma at or beyond these counts as clipped: the encoder moves true 0 and 255 by a few levels."""
_EDGE_SHARE = 1 / 64
"""The face mask is shrunk by this share of the crop: the silhouette is no facial detail."""
_FROZEN_LEVELS = 0.2
"""Frames that differ less (mean |difference| in levels of luma) show the same picture. Repeated
frames measured 0.09-0.23, new frames of still faces from 0.2 up: docs/quality.md."""
_DIFFERENCE_SIGMA_PX = 1.5
"""Blur of the difference, in reduced pixels: suppresses encoder and resampling noise."""
_BORDER = 4
"""Reduced pixels at the border that the warped previous frame does not cover."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The parts of a decoded clip that the measures need."""

    planes: Planes
    """Every frame at 64 x 64, (T, 3, h, w): luma, and the colour differences around 128."""
    sampled: dict[int, Luma]
    """Frame number -> full luma (H, W)."""

    @property
    def small(self) -> Luma:
        """Return the luma of every frame, (T, h, w)."""
        return self.planes[:, 0]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Brightness of the face."""

    luma_mean: float
    clipped_share: float


def read_pictures(path: Path, num_frames: int) -> Pictures:
    """Decode the clip once.

    Raises:
        DecodeError: a frame does not decode, or there are more or fewer than the clip has.
        UnreadableError: the operating system refuses to read the file.
    """
    wanted = set(sample_frames(num_frames))
    planes, sampled = np.zeros((num_frames, 3, SMALL_PX, SMALL_PX), np.uint8), {}
    count = 0
    for count, frame in enumerate(_decode(path), start=1):
        if count <= num_frames:
            luma_HW = _luma(frame)
            planes[count - 1] = [reduced(luma_HW), *_colour(frame)]
            if count - 1 in wanted:
                sampled[count - 1] = luma_HW
    if count != num_frames:
        raise DecodeError(f"the clip has {count} frames, its landmarks {num_frames}")
    return Pictures(planes, sampled)


def sample_frames(num_frames: int) -> list[int]:
    """Return up to 12 frame numbers, the middles of equal parts of the clip."""
    return spread_frames(num_frames, SAMPLED_FRAMES)


def face_masks(
    points_TLC: Floats, matrices_T23: Floats, frames: list[int], crop_px: int
) -> dict[int, npt.NDArray[np.bool_]]:
    """Return frame number -> (H, W) mask of the face, the hull of its landmarks in the crop."""
    return {
        frame: _face_mask(points_TLC[frame, :, :2], matrices_T23[frame], crop_px)
        for frame in frames
    }


def sharpness(pictures: Pictures, masks: dict[int, npt.NDArray[np.bool_]]) -> float:
    """Return the variance of the Laplacian on the face, median over the sampled frames.

    Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (2000). Measured
    on the crop, where an enlarged small face is unsharp.
    """
    variances = [
        cv2.Laplacian(luma_HW, cv2.CV_16S)[masks[frame]].astype(np.float64).var()
        for frame, luma_HW in pictures.sampled.items()
    ]
    return float(np.median(variances))


def exposure(pictures: Pictures, masks: dict[int, npt.NDArray[np.bool_]]) -> Exposure:
    """Return mean luma and clipped share over the face in all sampled frames."""
    face = np.concatenate([luma[masks[frame]] for frame, luma in pictures.sampled.items()])
    clipped = (face <= _BLACK) | (face >= _WHITE)
    return Exposure(float(face.mean(dtype=np.float64)), float(clipped.mean()))


def changes(pictures: Pictures, matrices_T23: Floats, crop_px: int) -> Floats:
    """Return how much each frame differs from the one before, (T,), in levels of luma.

    Mean |difference| over the small copies, encoder noise blurred away. The alignment moves even
    where the source is still, so the previous frame is first warped by the change between the two
    alignments. Frame 0 has the value of frame 1; a clip of one frame has 0.
    """
    if len(pictures.small) < 2:
        return np.zeros(len(pictures.small))
    steps = _small_steps(matrices_T23, crop_px)
    pairs = zip(pairwise(pictures.small), steps, strict=True)
    differences = [_difference(before, after, step) for (before, after), step in pairs]
    return np.array([differences[0], *differences])


def frozen_share(changes_T: Floats) -> float:
    """Return the share of frames, the first left out, that show the picture of the one before."""
    return float((changes_T[1:] < _FROZEN_LEVELS).mean()) if len(changes_T) > 1 else 0.0


def _small_steps(matrices_T23: Floats, crop_px: int) -> Floats:
    """Return (T - 1, 2, 3): what maps a small copy onto the next one."""
    scale = SMALL_PX / crop_px
    # crop pixel centres to small pixel centres: u = (x + 0.5) * scale - 0.5
    to_small = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    last_row_T13 = np.broadcast_to([0.0, 0.0, 1.0], (len(matrices_T23), 1, 3))
    square_T33 = np.concatenate([matrices_T23, last_row_T13], axis=1)
    back = np.array([cv2.invertAffineTransform(one) for one in matrices_T23[:-1]])
    back_T33 = np.concatenate([back, last_row_T13[:-1]], axis=1)
    step_T33 = np.einsum("tij,tjk->tik", square_T33[1:], back_T33)
    unit = np.array(
        [
            [1 / scale, 0, -to_small[0, 2] / scale],
            [0, 1 / scale, -to_small[1, 2] / scale],
            [0, 0, 1],
        ]
    )
    moved_T33 = np.einsum("tij,jk->tik", step_T33, unit)
    small_T33: Floats = np.einsum("ij,tjk->tik", to_small, moved_T33)
    return small_T33[:, :2]


def _difference(before: Luma, after: Luma, step_23: Floats) -> float:
    moved = cv2.warpAffine(
        before.astype(np.float32), step_23, (SMALL_PX, SMALL_PX), flags=cv2.INTER_LANCZOS4
    )
    difference = cv2.GaussianBlur(moved - after, (0, 0), _DIFFERENCE_SIGMA_PX)
    return float(np.abs(difference[_BORDER:-_BORDER, _BORDER:-_BORDER]).mean())


def _face_mask(points_LC: Floats, matrix_23: Floats, crop_px: int) -> npt.NDArray[np.bool_]:
    in_crop = np.einsum("li,ji->lj", points_LC, matrix_23[:, :2]) + matrix_23[:, 2]
    hull = cv2.convexHull(np.rint(np.clip(in_crop, -9e3, 9e3)).astype(np.int32))
    mask = np.zeros((crop_px, crop_px), np.uint8)
    cv2.fillConvexPoly(mask, hull, 1)
    edge = 2 * round(crop_px * _EDGE_SHARE) + 1
    eroded = cv2.erode(mask, np.ones((edge, edge), np.uint8))
    return eroded.astype(np.bool_) if eroded.any() else np.ones(mask.shape, np.bool_)


def _decode(path: Path) -> Iterator[av.VideoFrame]:
    try:
        yield from whole_frames(path)
    except DecodeError as error:
        raise DecodeError(f"the aligned video does not decode: {error}") from error


def _luma(frame: av.VideoFrame) -> Luma:
    """Return the Y plane, limited range (16-235) stretched to 0-255 unless marked as full."""
    luma_HW = _plane(frame, 0)
    return (
        luma_HW.copy()
        if _full_range(frame)
        else np.asarray(cv2.LUT(luma_HW, _LUMA_STRETCH), np.uint8)
    )


def _colour(frame: av.VideoFrame) -> list[Luma]:
    """Return the U and V planes at 64 x 64, limited range (16-240) stretched to 0-255."""
    small = [reduced(_plane(frame, index)) for index in (1, 2)]
    return (
        small
        if _full_range(frame)
        else [np.asarray(cv2.LUT(plane, _COLOUR_STRETCH), np.uint8) for plane in small]
    )


def _plane(frame: av.VideoFrame, index: int) -> Luma:
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def _full_range(frame: av.VideoFrame) -> bool:
    return bool(frame.color_range == av.video.reformatter.ColorRange.JPEG)


_LUMA_STRETCH = np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
_COLOUR_STRETCH = np.clip(np.rint((np.arange(256) - 128) * 255 / 224 + 128), 0, 255).astype(
    np.uint8
)
