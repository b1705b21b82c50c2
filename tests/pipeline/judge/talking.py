"""A face of a few points whose mouth opens with the loudness of made-up speech."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import MESH468
from pipeline.tables.rows import SAMPLES_PER_FRAME

MARGIN = 20


def opening(frames: int, seed: int = 0) -> NDArray[np.float64]:
    """How far the mouth is open, 0 to 1: syllables of uneven length with pauses."""
    rng = np.random.default_rng(seed)
    curve = np.zeros(frames)
    at = 2
    while at < frames:
        length = int(rng.integers(4, 8))
        bump = np.sin(np.linspace(0, np.pi, length)) * rng.uniform(0.5, 1)
        curve[at : at + length] = bump[: len(curve[at : at + length])]
        at += length + int(rng.integers(0, 5)) * int(rng.random() < 0.5)
    return curve


def mesh(open_T: NDArray[np.float64]) -> NDArray[np.float32]:
    """A (T, 468, 3) face, 200 px from eyes to chin, still but for the mouth and the chin."""
    points = np.zeros((len(open_T), 468, 3))
    points[:, MESH468.left_eye] = (-65, -100, 0)
    points[:, MESH468.right_eye] = (65, -100, 0)
    points[:, MESH468.chin, 1] = 100 + 8 * open_T
    angle = np.pi - 2 * np.pi * np.arange(20) / 20  # from the left corner along the lower lip
    for contour, width, height in ((MESH468.outer_lip, 45, 16), (MESH468.inner_lip, 36, 3)):
        ring = contour.points
        tall = height + 16 * open_T[:, None]
        points[:, ring, 0] = (width - 4 * open_T[:, None]) * np.cos(angle)
        points[:, ring, 1] = 35 + tall * np.sin(angle)
    return (points + np.array([300, 250, 0])).astype(np.float32)


def speech(open_T: NDArray[np.float64], seed: int = 0) -> NDArray[np.int16]:
    """Voice-like sound whose loudness follows the opening, 640 samples per frame."""
    rng = np.random.default_rng(seed + 1)
    time = np.arange(len(open_T) * SAMPLES_PER_FRAME)
    loud = np.interp(time / SAMPLES_PER_FRAME, np.arange(len(open_T)), open_T)
    pitch = 2 * np.pi * np.cumsum(120 + 20 * loud) / 16000
    voice = sum(np.sin(pitch * n) / n**0.8 for n in range(1, 25))
    sound = 0.1 * loud * voice + 0.001 * rng.normal(size=len(time))
    return np.clip(sound * 32767, -32768, 32767).astype(np.int16)


def talking(frames: int, lead: int = 0, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Landmarks and sound of one clip whose sound is `lead` frames early."""
    whole = opening(frames + 2 * MARGIN, seed)
    first = (MARGIN + lead) * SAMPLES_PER_FRAME
    sound = speech(whole, seed)[first : first + frames * SAMPLES_PER_FRAME]
    return mesh(whole[MARGIN : MARGIN + frames]), sound
