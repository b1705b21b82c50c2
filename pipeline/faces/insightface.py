"""Face backend on InsightFace: SCRFD finds faces, 2d106 places 106 points.

Any local pack works: `<root>/models/<name>/` with a detector (`det_*.onnx` or `scrfd*.onnx`) and
`2d106det.onnx`. The models are for non-commercial research; a named pack that is not there is
downloaded by insightface itself from its GitHub release.

The 106-point network has no score and needs a detector's box. So on every frame the detector runs
on the surroundings of the face, at 160 px: both within a few milliseconds.
"""

import logging
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from insightface.app.common import Face
from insightface.model_zoo import model_zoo
from insightface.utils.storage import ensure_available
from numpy.typing import NDArray

from pipeline.digest import file_sha256
from pipeline.errors import WeightsError
from pipeline.faces import boxes
from pipeline.faces.backend import Detection, FaceLandmarks, Frame, Region, Shown
from pipeline.faces.box import Box
from pipeline.faces.boxes import box_of, longer_side
from pipeline.faces.looks import Looks
from pipeline.faces.schemas import INSIGHTFACE106
from pipeline.media.film_picture import as_picture
from pipeline.params.environment import environment
from pipeline.weights.onnx_sessions import one_thread

MIN_DETECTION_SCORE = 0.5
DETECT_PX = (640, 640)
PADDED_SCALE, PADDED_PX = 1.5, 320
"""Second detector pass: side of the padded square, in longer sides of the image, and in px."""
TRACK_PX = (160, 160)
TRACK_SCALE, PATCH_PX = 2.0, 320
"""Search square on the next frame: side, in longer sides of the face, and in px."""

logger = logging.getLogger(__name__)


def pack_files(name: str, root: str) -> tuple[Path, Path]:
    """Return detector and landmark file of a pack, downloading the pack if it is not there.

    Raises:
        WeightsError: no such pack and no download, or a pack without these two networks.
    """
    folder = Path(root).expanduser() / "models" / name
    if not folder.is_dir():
        _download(name, root)
    detectors = sorted([*folder.glob("det_*.onnx"), *folder.glob("scrfd*.onnx")])
    landmarks = folder / "2d106det.onnx"
    if not detectors or not landmarks.is_file():
        raise WeightsError(
            f"{folder}: needs det_*.onnx (or scrfd*.onnx) and 2d106det.onnx; delete the folder to "
            f"have it downloaded again, or point params.yaml faces.insightface_root elsewhere"
        )
    return detectors[0], landmarks


def pack_sha256(name: str, root: str) -> dict[str, str]:
    """Return file name -> SHA-256 of the two networks of a pack."""
    return {path.name: file_sha256(path) for path in pack_files(name, root)}


class InsightFaceBackend:
    """SCRFD and 2d106 as a FaceBackend."""

    name = "insightface"
    landmark_schema = INSIGHTFACE106.name

    def __init__(self, name: str, root: str) -> None:
        self._pack = (name, root)
        detector, landmarks = pack_files(name, root)
        self._detector = _load(detector)
        self._landmarks = _load(landmarks)
        self.device = self._detector.session.get_providers()[0]
        self._detector.prepare(0, input_size=DETECT_PX, det_thresh=MIN_DETECTION_SCORE)

    def detect(self, frame: Shown, looks: Looks | None = None) -> list[Detection]:
        """Find every face of the frame, best first, duplicates merged.

        SCRFD misses a face that fills the image, so a second pass runs on a padded copy. It looks
        at the whole frame every time, whatever `looks` knows.
        """
        frame = as_picture(frame).rgb
        height, width = frame.shape[:2]
        side = PADDED_SCALE * max(height, width)
        padded = _Patch(frame, (width / 2, height / 2), side, PADDED_PX)
        whole = self._detect(np.ascontiguousarray(frame[..., ::-1]), DETECT_PX)
        return boxes.merge([*whole, *map(padded.to_frame, self._detect(padded.bgr, TRACK_PX))])

    def landmarks(self, frame: Shown, previous: Region) -> FaceLandmarks:
        """Place 106 points; `score` is the detector's on the surroundings, 0 if it finds none."""
        around = _box(previous)
        side = TRACK_SCALE * max(longer_side(around), 8.0)
        patch = _Patch(frame, boxes.centre(around), side, PATCH_PX)
        if isinstance(previous, Detection):
            box, score = around, previous.score
        else:
            box, score = self._redetect(patch, around)
        xy = self._landmarks.get(patch.bgr, Face(bbox=patch.to_patch(box)))
        xy = xy.astype(np.float64) / patch.scale + patch.origin
        return FaceLandmarks(np.column_stack([xy, np.zeros(len(xy))]).astype(np.float32), score)

    def anchors(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 3, 2): left brow centre, right brow centre, nose."""
        return INSIGHTFACE106.template_anchors(points)

    def guides(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return (..., 4, 2): the anchors, and the steady point."""
        return INSIGHTFACE106.crop_guides(points)

    def weights(self) -> Mapping[str, str]:
        """Return file name -> SHA-256 of the two networks."""
        return pack_sha256(*self._pack)

    def _detect(self, image_bgr: Frame, px: tuple[int, int]) -> list[Detection]:
        rows, _ = self._detector.detect(image_bgr, input_size=px)
        return [Detection(tuple(row[:4]), row[4]) for row in rows.astype(np.float64).tolist()]

    def _redetect(self, patch: "_Patch", around: Box) -> tuple[Box, float]:
        found = [patch.to_frame(one) for one in self._detect(patch.bgr, TRACK_PX)]
        best = min(found, key=lambda one: boxes.distance(one.box, around), default=None)
        return (best.box, best.score) if best else (around, 0.0)


class _Patch:
    """A square of the frame in BGR, black outside the frame, reduced to at most `max_px`."""

    def __init__(self, frame: Shown, middle: tuple[float, float], side: float, max_px: int) -> None:
        px = math.ceil(side)
        x, y = round(middle[0] - px / 2), round(middle[1] - px / 2)
        height, width = frame.shape[:2]
        x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + px), min(height, y + px)
        square = np.zeros((px, px, 3), np.uint8)
        rgb = as_picture(frame).rgb
        square[y0 - y : max(y1, y0) - y, x0 - x : max(x1, x0) - x] = rgb[y0:y1, x0:x1, ::-1]
        self.scale = min(1.0, max_px / px)
        if self.scale < 1:
            area = cv2.INTER_AREA
            square = np.asarray(cv2.resize(square, (max_px, max_px), interpolation=area), np.uint8)
        self.bgr: Frame = square
        self.origin = np.array([x, y], np.float64)

    def to_patch(self, box: Box) -> NDArray[np.float64]:
        """Map a box of the frame into the patch."""
        return np.asarray((np.array(box) - np.tile(self.origin, 2)) * self.scale)

    def to_frame(self, found: Detection) -> Detection:
        """Map a detection of the patch into the frame."""
        box = np.array(found.box) / self.scale + np.tile(self.origin, 2)
        return replace(found, box=tuple(box.tolist()))


def _download(name: str, root: str) -> None:
    try:
        ensure_available("models", name, root=str(Path(root).expanduser()))
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"insightface pack {name!r} is not under {root}/models and could not be downloaded "
            f"({error}); put the pack there, or set params.yaml faces.backend to litert"
        ) from error


def _load(file: Path) -> Any:
    options = one_thread()
    options.log_severity_level = 3
    providers, provider_options = _providers()
    model = model_zoo.get_model(
        str(file), providers=providers, provider_options=provider_options, sess_options=options
    )
    used = model.session.get_providers()[0]
    if used != providers[0]:
        logger.warning("%s: %s is not usable here, running on %s", file.name, providers[0], used)
    return model


def _providers() -> tuple[list[str], list[dict[str, str]]]:
    """Choose the device: LIPFORGE_GPU is a CUDA index or `cpu`; unset takes the first visible.

    CUDA_VISIBLE_DEVICES (Ray sets it per worker) is obeyed by CUDA itself: index 0 is then the
    first device of that list.
    """
    wanted = environment().gpu
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in {"", "-1"}
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if wanted == "cpu" or hidden or not cuda:
        return ["CPUExecutionProvider"], [{}]
    return ["CUDAExecutionProvider", "CPUExecutionProvider"], [{"device_id": wanted}, {}]


def _box(previous: Region) -> Box:
    if isinstance(previous, Detection):
        return previous.box
    if previous.ndim == 2:
        return box_of(previous)
    x0, y0, x1, y1 = map(float, previous)
    return x0, y0, x1, y1
