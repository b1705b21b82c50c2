"""A face backend over a scripted world: frames hold their own number, faces are known boxes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.faces import boxes
from pipeline.faces.backend import Detection, FaceLandmarks, Frame, Region
from pipeline.faces.box import Box
from pipeline.faces.boxes import box_of
from pipeline.faces.looks import Looks

Path = Callable[[int], Box | None]
"""Frame number -> where the face is, None while it cannot be seen."""
GRID = np.stack(np.meshgrid([0, 0.5, 1], [0, 0.5, 1]), axis=-1).reshape(-1, 2)


def picture(number: int, width: int = 32, height: int = 24) -> Frame:
    """A frame that says which it is; no two neighbours look alike."""
    image = np.full((height, width, 3), 60 * (number % 2), np.uint8)
    image[0, 0] = number // 65536, number // 256 % 256, number % 256
    return image


def number_of(image: Frame) -> int:
    high, middle, low = (int(value) for value in image[0, 0])
    return high * 65536 + middle * 256 + low


def face_at(x: float, y: float, size: float = 100) -> Box:
    return x - size / 2, y - size / 2, x + size / 2, y + size / 2


@dataclass
class World:
    """Scripted faces. Landmarks carry the person's number as z, so mixed tracks show."""

    people: list[Path]
    name: str = "stub"
    landmark_schema: str = "grid9"
    detected_on: list[int] = field(default_factory=list)

    def detect(self, frame: Frame, looks: Looks | None = None) -> list[Detection]:
        number = number_of(frame)
        self.detected_on.append(number)
        seen = [path(number) for path in self.people]
        return [Detection(box, 0.9) for box in seen if box]

    def landmarks(self, frame: Frame, previous: Region) -> FaceLandmarks:
        around = previous.box if isinstance(previous, Detection) else box_of(previous)
        seen = [(i, path(number_of(frame))) for i, path in enumerate(self.people)]
        near = [(boxes.iou(around, box), -i, box) for i, box in seen if box]
        overlap, person, box = max(near, default=(0.0, 0, around))
        xy = np.array(box[:2]) + GRID * (np.array(box[2:]) - np.array(box[:2]))
        points = np.column_stack([xy, np.full(len(xy), -person)]).astype(np.float32)
        return FaceLandmarks(points, 0.99 if overlap > 0.2 else 0.1)

    def anchors(self, points: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(points, np.float64)[..., [0, 2, 4], :2]

    def guides(self, points: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(points, np.float64)[..., [0, 2, 4, 1], :2]

    def weights(self) -> Mapping[str, str]:
        return {}
