"""A picture with faces that are known: bright squares, found where they are bright."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces.backend import Detection, FaceLandmarks, Frame, Region
from pipeline.faces.box import Box
from pipeline.faces.boxes import box_of
from pipeline.faces.looks import Looks
from pipeline.tables.rows import FPS
from tests.media import Sound, frame_times, write_video
from tests.pipeline.faces.stub import GRID
from trainers.frozen import registry as frozen
from trainers.frozen.whisper_files import load_whisper
from trainers.systems.latentsync.bundle import LdmBundle
from trainers.systems.latentsync.configs import TINY
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.talking_face.masks import keep_mask

LEFT: Box = (50, 30, 110, 90)
RIGHT: Box = (250, 40, 302, 92)
WIDTH, HEIGHT = 360, 200
BRIGHT = 150

There = Callable[[int], bool]


def always(frame: int) -> bool:
    return True


@dataclass
class Squares:
    """A face backend that knows where faces may be and looks whether they are bright."""

    boxes: Sequence[Box]
    name: str = "squares"
    landmark_schema: str = "grid9"

    def detect(self, frame: Frame, looks: Looks | None = None) -> list[Detection]:
        return [Detection(box, 0.9) for box in self.boxes if self._bright(frame, box)]

    def landmarks(self, frame: Frame, previous: Region) -> FaceLandmarks:
        around = previous.box if isinstance(previous, Detection) else box_of(previous)
        box = min(self.boxes, key=lambda box: abs(box[0] - around[0]))
        xy = np.array(box[:2]) + GRID * (np.array(box[2:]) - np.array(box[:2]))
        points = np.column_stack([xy, np.zeros(len(xy))]).astype(np.float32)
        return FaceLandmarks(points, 0.99 if self._bright(frame, box) else 0.1)

    def anchors(self, points: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(points, np.float64)[..., [0, 2, 4], :2]

    def guides(self, points: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(points, np.float64)[..., [0, 2, 4, 1], :2]

    def weights(self) -> Mapping[str, str]:
        return {}

    def _bright(self, frame: Frame, box: Box) -> bool:
        x0, y0, x1, y1 = (int(value) for value in box)
        return float(frame[y0 + 10 : y1 - 10, x0 + 10 : x1 - 10].mean()) > BRIGHT


def pictures(count: int, faces: Mapping[Box, There]) -> Iterator[NDArray[np.uint8]]:
    """A slope with a moving bar, and squares while they are there."""
    slope = np.linspace(20, 90, WIDTH)[None, :, None] + np.array([0, 10, 20])
    for number in range(count):
        image = np.repeat(slope, HEIGHT, axis=0).astype(np.uint8)
        image[180:190, 3 * number % (WIDTH - 20) :][:, :20] = 120
        for (x0, y0, x1, y1), there in faces.items():
            if there(number):
                image[y0:y1, x0:x1] = 190, 180, 170
        yield image


def film(
    path: Path, count: int, faces: Mapping[Box, There] | None = None, sound: Sound | None = None
) -> Path:
    shown = {LEFT: always} if faces is None else faces
    return write_video(path, pictures(count, shown), frame_times(FPS, count / FPS), sound)


def tone(frames: float, rate_hz: int = 44_100, codec: str = "aac", channels: int = 2) -> Sound:
    time = np.arange(round(frames / FPS * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).normal(0, 0.02, (channels, len(time)))
    return Sound((0.3 * np.sin(600 * time) + noise).astype(np.float32), rate_hz, codec=codec)


class Tint:
    """Darkens mouths; raises KeyboardInterrupt after `stop_after` windows."""

    size_px, frames, needs_previous = 256, 16, False

    def __init__(self, *_: Any, stop_after: int = 10**9) -> None:
        self.keep = keep_mask(self.size_px)[0]
        self.starts: list[int] = []
        self.stop_after = stop_after

    def generate(
        self,
        faces_FCHW: Tensor,
        start_frame: int,
        reference_FCHW: Tensor | None = None,
        previous_CHW: Tensor | None = None,
    ) -> Tensor:
        if len(self.starts) == self.stop_after:
            raise KeyboardInterrupt
        self.starts.append(start_frame)
        return torch.where(self.keep.bool(), faces_FCHW, faces_FCHW * 0.5 - 0.5)


def voice(path: Path, frames: float) -> Path:
    """A WAV of exactly so many frames."""
    rate = 16_000
    soundfile.write(path, tone(frames, rate).samples.T, rate, "PCM_16")
    return path


def bundle(size_px: int = 256, frames: int = 16) -> LdmBundle:
    """A real, tiny model with random weights."""
    torch.manual_seed(0)
    unet = LatentSyncUNet(TINY).eval()
    torch.nn.init.normal_(unet.net.conv_out.weight, std=0.05)
    torch.nn.init.normal_(unet.net.conv_in.weight, std=0.05)
    named = {"vae": "stand-in:blocks", "whisper": "stand-in:whisper-tiny"}
    facts = {**named, "prediction": "epsilon", "steps": 0}
    vae, whisper = frozen.vae(named["vae"]), load_whisper(named["whisper"])
    return LdmBundle(unet, vae, whisper, size_px, frames, facts)
