"""Public-domain portraits that ship inside packages, placed in a picture of a given size.

`astronaut` (scikit-image, NASA) and `hopper` (matplotlib, US Navy). Their landmarks were found by
the project's own `litert` backend and lie in `landmarks.json`, so that the corpus neither needs the
networks nor changes with them; `python -m pipeline.demo.portrait` finds and writes them again.

Shape suffixes: L landmarks, C coordinates (x, y, z).
"""

import importlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.demo.speech import INSTALL
from pipeline.errors import LipforgeError
from pipeline.faces.backend import Frame
from pipeline.faces.schemas import MESH468, MESH_FACE_OVAL

Sitter = Literal["astronaut", "hopper"]
LANDMARKS = Path(__file__).with_name("landmarks.json")
GRAIN_SIGMA = 2.5
"""Film grain in grey levels: enlarged portraits are smoother than any camera."""
MIDLINE = (MESH_FACE_OVAL[0], MESH468.nose_tip, MESH468.chin)
"""Forehead, nose tip, chin."""
CHIN, EYES = MESH468.chin, (*MESH468.left_eye_corners, *reversed(MESH468.right_eye_corners))
_MESH_PASSES = 4
_DECIMALS = 1


class PortraitError(LipforgeError):
    """A package that carries a portrait is not installed, or no face was found on it."""


@dataclass(frozen=True, slots=True)
class Framing:
    """Where the face is in the picture and how it is graded."""

    width: int
    height: int
    face_px: float
    """Distance from the middle of the eyes to the chin, in pixels of the picture."""
    centre: tuple[float, float] = (0.5, 0.5)
    """Where the nose is, as shares of width and height."""
    mirrored: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on red, green and blue."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture and the face on it, in its pixels."""

    image: Frame
    points: NDArray[np.float64]
    """(L, 3)."""

    @property
    def scale_px(self) -> float:
        """Distance from the middle of the eyes to the chin: the unit of every movement."""
        return eye_to_chin(self.points)


def eye_to_chin(points_LC: NDArray[np.float64]) -> float:
    """Return the distance from the middle of the eyes to the chin, in pixels."""
    eyes = points_LC[list(EYES), :2].mean(axis=0)
    return float(np.linalg.norm(points_LC[CHIN, :2] - eyes))


def framed(sitter: Sitter, framing: Framing) -> Portrait:
    """Cut, enlarge, mirror and grade a portrait; what lies outside it repeats its edge."""
    source = _original(sitter)
    points = source.points
    zoom = framing.face_px / source.scale_px
    size = np.array([framing.width, framing.height])
    nose = points[1, :2]
    target = np.array(framing.centre) * size
    to_frame = np.column_stack([np.eye(2) * zoom, target - zoom * nose])
    if framing.mirrored:
        to_frame[0] = -zoom, 0.0, target[0] + zoom * nose[0]
    image = cv2.warpAffine(
        source.image,
        to_frame,
        (framing.width, framing.height),
        flags=cv2.INTER_LANCZOS4 if zoom > 1 else cv2.INTER_AREA,
        borderMode=cv2.BORDER_REPLICATE,
    )
    placed = np.column_stack([points[:, :2] @ to_frame[:, :2].T + to_frame[:, 2], points[:, 2]])
    placed[:, 2] *= zoom
    if framing.mirrored:
        placed = placed[_mirror_order()]
    return Portrait(
        _graded(np.asarray(image, np.uint8), framing, 0.7 if zoom > 1.2 else 0.2), placed
    )


def _graded(image: Frame, framing: Framing, sharpening: float) -> Frame:
    soft = cv2.GaussianBlur(image, (0, 0), 2.0)
    sharp = cv2.addWeighted(image, 1.0 + sharpening, soft, -sharpening, 0.0).astype(np.float32)
    grain = np.random.default_rng(1).normal(0.0, GRAIN_SIGMA, image.shape[:2])
    toned = sharp * np.array(framing.gain, np.float32) + grain.astype(np.float32)[..., None]
    return np.clip(np.round(toned), 0, 255).astype(np.uint8)


@cache
def _original(sitter: Sitter) -> Portrait:
    image = portrait_image(sitter)
    stored = json.loads(LANDMARKS.read_text(encoding="utf-8"))[sitter]
    if list(image.shape[:2]) != stored["size"]:
        raise PortraitError(
            f"{sitter}: the installed package has another picture, {image.shape[1]} x "
            f"{image.shape[0]} pixels; install the versions of constraints.txt"
        )
    return Portrait(image, np.array(stored["points"], np.float64))


def portrait_image(sitter: Sitter) -> Frame:
    """Return the picture as its package has it.

    Raises:
        PortraitError: the package is not installed.
    """
    return _astronaut() if sitter == "astronaut" else _hopper()


def find_landmarks(image: Frame) -> NDArray[np.float64]:
    """Return (468, 3) landmarks of the face on a picture, by the `litert` backend.

    Raises:
        PortraitError: no face found.
        WeightsError: the networks were not fetched.
    """
    from pipeline.faces.litert import LiteRTBackend  # rendering does without the networks

    backend = LiteRTBackend()
    found = backend.detect(image)
    if not found:
        raise PortraitError("no face found on the portrait")
    face = backend.landmarks(image, found[0])
    for _ in range(_MESH_PASSES - 1):
        face = backend.landmarks(image, face.points)
    return np.asarray(face.points, np.float64)


@cache
def _mirror_order() -> NDArray[np.intp]:
    """Return, for every landmark, its partner on the other half of the face.

    The mesh is symmetric, so partners are those that fall on each other when a face is turned
    over; `hopper` rendered straight into the camera.
    """
    points = _original("hopper").points
    axis = points[list(MIDLINE), 0].mean()
    turned = points * [-1.0, 1.0, 1.0] + [2 * axis, 0.0, 0.0]
    distance = np.linalg.norm(points[:, None] - turned[None], axis=-1)
    return np.asarray(linear_sum_assignment(distance)[1])


def backdrop(width: int, height: int) -> Frame:
    """Return a picture without a face, a tenth larger than asked: scikit-image's `rocket`."""
    source = np.asarray(_module("skimage.data").rocket(), np.uint8)
    size = (round(width * 1.1), round(height * 1.1))
    return np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_AREA), np.uint8)


def _astronaut() -> Frame:
    return np.asarray(_module("skimage.data").astronaut(), np.uint8)


def _hopper() -> Frame:
    path = _module("matplotlib.cbook").get_sample_data("grace_hopper.jpg", asfileobj=False)
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise PortraitError(f"{path}: cannot be read; reinstall it: {INSTALL}")
    return np.ascontiguousarray(image[:, :, ::-1])


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PortraitError(f"the demo's portraits need {name}: {INSTALL}") from error


def _main() -> None:
    """Find the landmarks of every portrait and write them."""
    document = {}
    for sitter in get_args(Sitter):
        image = portrait_image(sitter)
        points = np.round(find_landmarks(image), _DECIMALS).tolist()
        document[sitter] = {"size": list(image.shape[:2]), "points": points}
    LANDMARKS.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _main()
