"""InsightFace's networks on a GPU, several pictures a call, against one picture a call.

The packs' detector takes one picture a call as it is stored; here its batch dimension is set free.
What a call gives for a picture must not depend on the other pictures of the call, or the outputs
of `faces` would depend on which films share a worker: compared bit by bit.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.bench.inputs import Picture

BATCH = 8
CALLS = 10
MEAN, SCALE = 127.5, 1 / 128
Images = NDArray[np.float32]
"""(images, 3, height, width)."""


@dataclass(frozen=True, slots=True)
class Batches:
    """Seconds an image, one and `BATCH` a call; whether an image's result is its own."""

    one_s: float
    batch_s: float
    independent: bool

    @property
    def ratio(self) -> float:
        """Images per second in batches / one by one."""
        return self.one_s / self.batch_s


def batches(network: Path, side_px: int, frames: Sequence[Picture], device: str) -> Batches:
    """Run a network on a GPU on single frames and on batches of frames of several films."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers = [("CUDAExecutionProvider", {"device_id": device})]
    session = onnxruntime.InferenceSession(_any_batch(network), options, providers=providers)
    images = _images(frames[:BATCH], side_px)
    one_s, _ = _timed(session, images[:1])
    batch_s, together = _timed(session, images)
    alone = images.copy()
    alone[1:] = 0
    _, apart = _timed(session, alone)
    own = _of_first(together, len(images)), _of_first(apart, len(images))
    same = all(map(np.array_equal, *own))
    return Batches(one_s, batch_s / len(images), same)


def _any_batch(network: Path) -> bytes:
    """Return the network with free batch, height and width, and outputs of any shape."""
    model = onnx.load(str(network))
    shape = model.graph.input[0].type.tensor_type.shape
    for place, name in ((0, "batch"), (2, "height"), (3, "width")):
        shape.dim[place].dim_param = name
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return bytes(model.SerializeToString())


def _images(frames: Sequence[Picture], side_px: int) -> Images:
    small = [cv2.resize(one, (side_px, side_px), interpolation=cv2.INTER_AREA) for one in frames]
    return np.ascontiguousarray((np.stack(small).transpose(0, 3, 1, 2) - MEAN) * SCALE, np.float32)


def _timed(session: Any, images: Images) -> tuple[float, list[NDArray[Any]]]:
    """Return the median seconds of a call, and what the last one gave."""
    feed, seconds = {session.get_inputs()[0].name: images}, []
    for _ in range(CALLS):
        before = time.perf_counter()
        found = session.run(None, feed)
        seconds.append(time.perf_counter() - before)
    return float(np.median(seconds[2:])), found


def _of_first(found: Sequence[NDArray[Any]], images: int) -> list[NDArray[Any]]:
    """Return each output's part of the first image: rows of the batch, or every so-many-th row.

    Detectors without a batch dimension in their outputs put an anchor's images side by side.
    """
    return [
        one[:1] if len(one) == images else one.reshape(-1, images, one.shape[-1])[:, 0]
        for one in found
    ]
