"""Versions of the libraries that decide which bytes come out of decoding and encoding."""

import re
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np

_X264 = re.compile(rb"x264 - core \d+(?: r\d+)?(?: \w+)?")


@cache
def media_versions() -> dict[str, str]:
    """Return library -> version of PyAV, FFmpeg's libraries, x264, OpenCV and NumPy."""
    libraries = {name: ".".join(map(str, parts)) for name, parts in av.library_versions.items()}
    others = {"pyav": av.__version__, "opencv": cv2.__version__, "numpy": np.__version__}
    return {**libraries, **others, "x264": _x264_version()}


def _x264_version() -> str:
    """Return what x264 writes about itself into a stream: one frame is encoded to read it."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width = encoder.height = 16
    encoder.pix_fmt, encoder.framerate = "yuv420p", Fraction(25)
    frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    found = _X264.search(b"".join([*map(bytes, packets), bytes(encoder.extradata or b"")]))
    return found.group().decode() if found else "unknown"
