"""Strips of mouths around a clip's largest opening: real and dubbed, with own and foreign sound.

Shape suffixes: T frames, C colours, H and W pixels.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from trainers.evaluation.clip_versions import ClipVersions

Pixels = NDArray[np.uint8]

STRIP_FRAMES, STRIDE = 16, 2
"""Every second of 32 frames: 1.3 s, a few syllables."""
TOP, LEFT, RIGHT = 0.4, 0.1, 0.9
"""Shares of the face's edge that are shown: from the nose down."""
TILE_W, TILE_H = 96, 72
ROWS = ("real", "own", "film of the foreign sound", "foreign")


def mouth_strip(versions: ClipVersions) -> Pixels:
    """Return the strip (H, W, 3) RGB, rows as in `ROWS`, the last two only with foreign sound."""
    shown = shown_frames(versions)
    rows = [
        np.concatenate([_tile(frames_TCHW[number]) for number in shown], axis=1)
        for frames_TCHW in _rows(versions).values()
    ]
    return np.concatenate(rows)


def shown_frames(versions: ClipVersions) -> list[int]:
    """Return the frames of the strip: around the moment when both films' mouths are widest."""
    clip = versions.clip
    films = [clip.film] if clip.foreign is None else [clip.film, clip.foreign]
    widest_T = np.sum([one.opening / max(one.opening.max(), 1e-9) for one in films], axis=0)
    span = min(STRIP_FRAMES * STRIDE, len(widest_T))
    first = int(np.clip(int(widest_T.argmax()) - span // 2, 0, len(widest_T) - span))
    return list(range(first, first + span, STRIDE))


def _rows(versions: ClipVersions) -> Mapping[str, Pixels]:
    frames, foreign = versions.frames, versions.clip.foreign
    rows = [frames["real"], frames["own"]]
    if foreign is not None:
        rows += [foreign.frames, frames["foreign"]]
    return dict(zip(ROWS, rows, strict=False))


def _tile(frame_CHW: Pixels) -> Pixels:
    edge = frame_CHW.shape[-1]
    top, left, right = (round(share * edge) for share in (TOP, LEFT, RIGHT))
    part = np.ascontiguousarray(frame_CHW[:, top:, left:right].transpose(1, 2, 0))
    how = cv2.INTER_AREA if part.shape[1] > TILE_W else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (TILE_W, TILE_H), interpolation=how), np.uint8)
