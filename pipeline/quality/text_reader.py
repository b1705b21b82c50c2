"""Where text is in a picture, by RapidOCR (PP-OCRv6): the optional extra `labels`.

The wheel of `rapidocr` carries its models, so that nothing is fetched. The version that is pinned
needs `opencv-python`, as the project does; later ones bring `opencv-python-headless`, which writes
other files to the same place.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import file_sha256
from pipeline.errors import ParamsError

LONGER_SIDE = 960
"""Pictures are reduced to it before they are read: letters under about 8 pixels are lost."""
MODELS = ("PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx")
MIN_SCORE, MIN_LETTERS = 0.6, 2
"""Of a reading: below it is mostly texture. RapidOCR's own limit is 0.5."""
MAX_HEIGHT_SHARE = 0.25
"""Of the picture: taller "letters" were arms and wallpaper."""
_SETTINGS = {
    "Global.log_level": "error",
    "Global.use_cls": False,
    "Global.text_score": MIN_SCORE,
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "Det.limit_type": "max",
    "Det.limit_side_len": LONGER_SIDE,
}


@dataclass(frozen=True, slots=True)
class TextBox:
    """One line of text: its upright extent in pixels, and what it says."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str


def require_reader() -> None:
    """Check that the recognizer is installed.

    Raises:
        ParamsError: it is not.
    """
    if find_spec("rapidocr") is None:
        raise ParamsError(
            "params.yaml: quality.text: overlay needs the package rapidocr: "
            "pip install 'lipforge[labels]', or set it to none"
        )


def reader_digests() -> Mapping[str, str]:
    """Return the SHA-256 of the models in the installed package, by name.

    Raises:
        ParamsError: it is not installed, or in a version with other models.
    """
    require_reader()
    spec = find_spec("rapidocr")
    assert spec is not None
    assert spec.origin is not None
    return _digests(Path(spec.origin).with_name("models"))


@cache
def _digests(folder: Path) -> Mapping[str, str]:
    absent = [name for name in MODELS if not (folder / name).is_file()]
    if absent:
        raise ParamsError(
            f"{folder}: has no {', '.join(absent)}; install the rapidocr of constraints.txt"
        )
    return {name: file_sha256(folder / name) for name in MODELS}


class TextReader:
    """The recognizer, on one thread."""

    def __init__(self) -> None:
        """Load the models.

        Raises:
            ParamsError: the package is not installed.
        """
        require_reader()
        self._read = importlib.import_module("rapidocr").RapidOCR(params=dict(_SETTINGS))

    def read(self, picture_HWC: NDArray[np.uint8]) -> Sequence[TextBox]:
        """Return the lines of text on a picture, from top to bottom as the recognizer orders them.

        Args:
            picture_HWC: RGB, its longer side at most `LONGER_SIDE`.
        """
        found = self._read(np.ascontiguousarray(picture_HWC[..., ::-1]))
        if found.boxes is None or found.txts is None:
            return []
        lines = zip(found.boxes, found.txts, strict=True)
        boxes = [_box(corners, text) for corners, text in lines if _says_something(text)]
        highest = MAX_HEIGHT_SHARE * len(picture_HWC)
        return [one for one in boxes if one.y1 - one.y0 <= highest]


def _says_something(text: str) -> bool:
    return sum(letter.isalnum() for letter in text) >= MIN_LETTERS


def _box(corners_42: NDArray[np.float32], text: str) -> TextBox:
    (x0, y0), (x1, y1) = corners_42.min(axis=0).tolist(), corners_42.max(axis=0).tolist()
    return TextBox(x0, y0, x1, y1, text)
