"""Which faces the litert detector and its mesh find, by yaw, size and roll; false alarms; cost.

python -m benchmarks.face_recall CLIPS_FOLDER --pack buffalo_l --root ~/.insightface [--every N]

A face is found where a detection's landmarks are accepted and lie on the known ones
(benchmarks/face_pictures.py says what is known): upright landmarks on a face that stands on its
head are a miss. A false alarm is an accepted face where none is known. CPU milliseconds are those
of one `detect` and of the landmarks on everything that it returns.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.face_pictures import Face, Labels, Picture, close_ups, films, without_faces
from pipeline.faces.backend import MIN_SCORE, Frame
from pipeline.faces.boxes import box_of, longer_side, same_face
from pipeline.faces.litert import LiteRTBackend

MAX_ERROR = 0.15
"""Mean distance from the known landmarks, in longer sides of the face."""
YAWS = ((0, 15), (15, 30), (30, 45), (45, 60), (60, 91))
SIZES = ((0, 10), (10, 25), (25, 50), (50, 75), (75, 100), (100, 1000))
"""Longer side of the face in percent of the picture's shorter side."""


class Tally:
    """Found and known faces by group; false alarms, pictures and CPU seconds by set."""

    def __init__(self) -> None:
        self.faces: dict[tuple[str, str], list[bool]] = defaultdict(list)
        self.alarms: dict[str, list[int]] = defaultdict(list)
        self.spent_s: dict[str, float] = defaultdict(float)

    def add(self, name: str, picture: Picture, backend: LiteRTBackend) -> None:
        """Look for faces on the picture and count what was known."""
        before = time.process_time()
        found = accepted(backend, picture.image)
        self.spent_s[name] += time.process_time() - before
        known = [face.box for face in picture.faces] + list(picture.unsure)
        alarms = [one for one in found if not any(same_face(box_of(one), box) for box in known)]
        self.alarms[name].append(len(alarms))
        for face in picture.faces:
            hit = any(error(points, face) <= MAX_ERROR for points in found)
            for group in groups(name, face, picture.image):
                self.faces[name, group].append(hit)

    def show(self) -> None:
        """Print the tables."""
        for (name, group), hits in sorted(self.faces.items()):
            print(f"{name:10} {group:22} {100 * sum(hits) / len(hits):6.1f} % of {len(hits):5}")
        for name, alarms in self.alarms.items():
            each_ms = 1000 * self.spent_s[name] / len(alarms)
            rate = f"{100 * sum(alarms) / len(alarms):6.2f} a 100"
            print(f"{name:10} {len(alarms):5} pictures, false alarms {rate}, {each_ms:6.1f} CPU-ms")


def accepted(backend: LiteRTBackend, image: Frame) -> list[NDArray[np.float32]]:
    """Return the landmarks, each (L, 3), that tracking would accept."""
    found = [backend.landmarks(image, one) for one in backend.detect(image)]
    return [one.points for one in found if one.score >= MIN_SCORE]


def error(points: NDArray[np.float32], face: Face) -> float:
    """Return the mean distance of the landmarks from the known ones, in longer sides."""
    apart = np.linalg.norm(points[:, :2] - face.points[:, :2], axis=1)
    return float(apart.mean()) / longer_side(face.box)


def groups(name: str, face: Face, image: Frame) -> Iterable[str]:
    """Yield the groups that a face is counted in."""
    yield "all"
    yield f"yaw {_range(abs(face.yaw_deg), YAWS)}"
    yield f"size % {_range(100 * face.share(image), SIZES)}"
    if face.is_cut(image):
        yield "cut by the border"
    if name == "close-up":
        yield f"roll {face.roll_deg:3.0f}"


def _range(value: float, ranges: Iterable[tuple[int, int]]) -> str:
    return next(f"{low:3}-{high}" for low, high in ranges if low <= value < high)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--pack", default="buffalo_l", help="InsightFace pack that knows the faces")
    parser.add_argument("--root", default="~/.insightface", help="folder of models/PACK")
    parser.add_argument("--every", type=int, default=25, help="frames between looks")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    labels, backend, tally = Labels(options.pack, options.root), LiteRTBackend(), Tally()
    for pictures in films(options.clips, options.every, labels):
        sets = {
            "real": pictures,
            "close-up": close_ups(pictures),
            "no face": without_faces(pictures),
        }
        for name, members in sets.items():
            for picture in members:
                tally.add(name, picture, backend)
    tally.show()


if __name__ == "__main__":
    main()
