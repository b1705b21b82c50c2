"""Training samples: faces as they are, covered over the mouth, and covered elsewhere.

Each face gives a fixed number of samples, drawn from (seed, clip, frame), so that they do not
depend on which other faces there are.

Shapes: S = samples, C = 3 planes, P x P = the classifier's input.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.quality import cover_input
from trainers.systems.mouth_cover import covers
from trainers.systems.mouth_cover.covers import KINDS, SIDE, Floats, Place, Random
from trainers.systems.mouth_cover.faces import FaceCrop, Picture

COVERED, FREE = 0.6, 0.2
"""Hidden share of the lips from which on they are covered, and up to which they are free; what lies
between is left out."""
PLAIN, OVER, BESIDE = "plain", "over", "beside"
_OVER_PER_FACE, _BESIDE_PER_FACE = 5, 4


@dataclass(frozen=True, slots=True)
class CoverSample:
    """One input of the classifier and what it is."""

    planes: NDArray[np.uint8]
    """(C, P, P)."""
    covered: bool
    kind: str
    """Of the cover; `plain` for none."""
    source: str
    clip_id: str
    frame: int


def samples_of(faces: Iterable[FaceCrop], seed: int) -> Iterator[CoverSample]:
    """Yield the samples of every face."""
    for face in faces:
        random = np.random.default_rng([seed, zlib.crc32(face.clip_id.encode()), face.frame])
        for _ in range(2):
            yield _sample(face, degraded(random, face.picture), False, PLAIN)
        yield from _covered(random, face, list(random.permutation(list(KINDS))))


def _covered(random: Random, face: FaceCrop, kinds: Sequence[str]) -> Iterator[CoverSample]:
    places = [OVER] * _OVER_PER_FACE + [BESIDE] * _BESIDE_PER_FACE
    for kind, where in zip(kinds, places, strict=False):
        place = _over(random, face) if where == OVER else _beside(random)
        painted = KINDS[kind](random, face, place)
        share = covers.covered_share(face, painted[1])
        if share <= FREE or share >= COVERED:
            shown = degraded(random, covers.laid_over(face, painted))
            yield _sample(face, shown, share >= COVERED, kind)


def _over(random: Random, face: FaceCrop) -> Place:
    middle = face.lips.mean(axis=0)
    half = np.maximum((face.lips.max(axis=0) - face.lips.min(axis=0)) / 2, (14.0, 8.0))
    grown = half * random.uniform(1.0, 2.4, 2) * (1.0, random.uniform(1.0, 1.8))
    moved = middle + random.normal(0, 0.25, 2) * half
    return Place(*moved.tolist(), *grown.tolist())


def _beside(random: Random) -> Place:
    x, y = random.uniform(0, SIDE, 2)
    return Place(x, y, random.uniform(12, 70), random.uniform(10, 50))


def degraded(random: Random, picture: Picture) -> Picture:
    """Return the picture as a poor camera or encoder may show it: small, soft, noisy, blocky."""
    shown = picture
    if random.random() < 0.4:
        side = int(random.uniform(40, 160))
        small = cv2.resize(shown, (side, side), interpolation=cv2.INTER_AREA)
        shown = _bytes(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
    if random.random() < 0.3:
        noisy = shown + random.normal(0, random.uniform(2, 12), shown.shape)
        shown = np.clip(noisy, 0, 255).astype(np.uint8)
    if random.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.uniform(15, 70))]
        shown = _bytes(cv2.imdecode(cv2.imencode(".jpg", shown, quality)[1], cv2.IMREAD_COLOR))
    return shown


def _sample(face: FaceCrop, shown: Picture, covered: bool, kind: str) -> CoverSample:
    planes = input_planes(shown, face.lips)
    return CoverSample(planes, covered, kind, face.source, face.clip_id, face.frame)


def input_planes(picture: Picture, lips: Floats) -> NDArray[np.uint8]:
    """Return the classifier's input for an RGB crop: as the decoder's planes would give it."""
    luma, red, blue = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
    small = [cover_input.reduced(_bytes(plane)) for plane in (luma, blue, red)]
    return cover_input.around_lips(np.stack(small), lips.mean(axis=0) / SIDE)


def _bytes(picture: Any) -> Picture:
    return np.asarray(picture, np.uint8)
