"""The aligned crop -> the picture the face network was trained on: 150 px, eyes at fixed places.

The crop is aligned already, so one matrix serves all. Measured on 75 real clips as the mean of the
matrices that put the eye corners and the base of the nose where dlib's mean face has them; with a
matrix of each frame's own, pictures of one person lie no closer together.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.identity.face_network import FACE_PX

CROP_PX = 256
_MATRIX = np.array([[0.528, 0.0, 7.3], [0.0, 0.528, 9.6]])
"""Pixels of a crop of 256 px -> pixels of the picture."""


def face_chips(crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the faces (N, 150, 150, 3) of aligned crops, RGB."""
    return np.stack([_face_chip(crop) for crop in crops])


def _face_chip(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    matrix = _MATRIX * [CROP_PX / len(crop), CROP_PX / len(crop), 1.0]
    chip = cv2.warpAffine(crop, matrix, (FACE_PX, FACE_PX), flags=cv2.INTER_LINEAR)
    return np.asarray(chip, np.uint8)
