"""Samples embedded into the page: images as JPEG, short videos whole."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import cv2

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
VIDEOS = (".mp4",)
MOST_SAMPLES = 24
"""Files on the page; the folder holds the rest."""
MOST_PIXELS = 1024
"""Width of a picture on the page."""
MOST_VIDEO_BYTES = 1_000_000
MOST_BYTES = 8_000_000
"""Of all videos in the page; later ones are linked."""
_JPEG_QUALITY = 82


@dataclass(frozen=True, slots=True)
class EmbeddedSample:
    """One file of the samples' folder."""

    name: str
    kind: str
    """`picture` or `video`."""
    data: str
    """Data URI; empty for a video that is too large, or a picture that does not decode."""
    link: str
    """Address of the file as seen from the page."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddedSamples:
    """What is shown, and how much there is."""

    shown: tuple[EmbeddedSample, ...]
    total: int


def read_samples(folder: Path, address: str = "") -> EmbeddedSamples | None:
    """Return the samples in the order of their names; None if there is no such folder.

    Args:
        folder: only files in it, none of folders inside of it.
        address: of the folder as seen from the page; else its name.
    """
    if not folder.is_dir():
        return None
    paths = [path for path in folder.iterdir() if path.suffix in (*PICTURES, *VIDEOS)]
    paths.sort(key=lambda path: (path.with_suffix("").as_posix(), path.suffix))
    shown = tuple(_read(paths[:MOST_SAMPLES], address or folder.name))
    return EmbeddedSamples(shown, len(paths))


def _read(paths: list[Path], address: str) -> Iterator[EmbeddedSample]:
    left = MOST_BYTES
    for path in paths:
        name = path.name
        link = quote(f"{address}/{name}")
        if path.suffix in PICTURES:
            yield _picture(path, name, link)
            continue
        size = path.stat().st_size
        fits = size <= min(MOST_VIDEO_BYTES, left)
        left -= size if fits else 0
        data = _uri("video/mp4", path.read_bytes()) if fits else ""
        problem = "" if fits else f"{size / 1e6:.1f} MB, too large for this page"
        yield EmbeddedSample(name, "video", data, link, problem)


def _picture(path: Path, name: str, link: str) -> EmbeddedSample:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        return EmbeddedSample(name, "picture", "", link, "it does not decode")
    height, width = pixels.shape[:2]
    if width > MOST_PIXELS:
        size = (MOST_PIXELS, max(1, round(height * MOST_PIXELS / width)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV is built with JPEG"
    return EmbeddedSample(name, "picture", _uri("image/jpeg", jpeg.tobytes()), link)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
