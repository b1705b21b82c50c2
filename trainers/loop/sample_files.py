"""Images and videos that a task returns as samples, written as files.

Shape suffixes: F frames, C colours, H and W pixels.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
from torch import Tensor

from pipeline.atomic import replacing

CRF = 18


def write_samples(folder: Path, samples: Mapping[str, Tensor]) -> list[Path]:
    """Write `<name>.png` for (3, H, W), `<name>.mp4` at 25 fps for (F, 3, H, W), all uint8 RGB.

    Raises:
        StorageError: the disk is full or not writable.
    """
    return [_write(folder / name, sample.cpu()) for name, sample in samples.items()]


def _write(path: Path, sample: Tensor) -> Path:
    if sample.ndim == 4:
        from pipeline.media.encode import write_clip  # PyAV, which training itself does not need

        out = path.with_name(path.name + ".mp4")
        with replacing(out) as part:
            write_clip(part, iter(sample.permute(0, 2, 3, 1).contiguous().numpy()), CRF)
        return out
    out = path.with_name(path.name + ".png")
    stored = cv2.imencode(".png", sample.flip(0).permute(1, 2, 0).contiguous().numpy())[1]
    with replacing(out) as part:
        part.write_bytes(stored.tobytes())
    return out
