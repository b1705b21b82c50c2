"""Clips -> persons: whose faces lie close together, or close enough with the same voice.

Single linkage: two clips are of one person if a chain of close pairs leads from one to the other.
That joins two people rather than tearing one apart, which is what an honest split needs.

All pairs are compared, block by block: time grows with the square of the clips (docs/people.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.identity.clip_identity import STEPS
from pipeline.identity.components import first_of_component
from pipeline.identity.face_network import SIZE as FACE
from pipeline.tables.people_facts import NearPair

BLOCK = 2048
"""Rows that are compared with all others at once."""
WITH_VOICE = 0.1
"""So much farther apart may faces be whose voices agree: other light, another side of the head."""
SAME_VOICE = 0.85
"""Cosine; measured on pairs of real clips: docs/people.md."""


@dataclass(frozen=True, slots=True)
class SeenClip:
    """What is known of a clip's person."""

    clip_id: str
    face: NDArray[np.int16]
    """In thousandths; empty where it was not measured."""
    voice: NDArray[np.int16]
    """In thousandths; empty where nobody speaks."""

    @classmethod
    def of(cls, clip_id: str, face: Sequence[float], voice: Sequence[float]) -> "SeenClip":
        """Take the embeddings as the table `quality` has them."""
        return cls(clip_id, _thousandths(face), _thousandths(voice))


class ComparedFaces:
    """The embeddings of some clips, for comparison; sorted by clip_id.

    Whole numbers of thousandths: sums of their products stay below 2^24, since no face is longer
    than 4, and are exact in float32, in whatever order they are added.
    """

    def __init__(self, clips: Sequence[SeenClip]) -> None:
        self.clips = sorted((one for one in clips if one.face.size), key=lambda one: one.clip_id)
        self._faces_ND = np.zeros((len(self.clips), FACE), np.float32)
        for row, one in zip(self._faces_ND, self.clips, strict=True):
            row[:] = one.face

    def persons(self, tolerance: float) -> dict[str, str]:
        """Return a name of the person for every clip: that of the person's first clip.

        Args:
            tolerance: distance of faces up to which they are one person's.
        """
        firsts = first_of_component(len(self.clips), list(self._near(tolerance)))
        return {
            one.clip_id: self.clips[first].clip_id
            for one, first in zip(self.clips, firsts, strict=True)
        }

    def nearest(self, group_of: Mapping[str, str]) -> NearPair | None:
        """Return the pair of clips of different groups whose faces lie closest; None: no such pair.

        Args:
            group_of: clip_id -> group, the split say; clips without one are left out.
        """
        names = np.array([group_of.get(one.clip_id, "") for one in self.clips])
        best = (np.inf, 0, 0)
        for first, squares_BN in self._blocks():
            rows, columns = names[first : first + len(squares_BN), None], names[first:]
            apart = (rows != columns) & (rows != "") & (columns != "")
            squares = np.where(apart, squares_BN, np.inf)
            row, column = divmod(int(squares.argmin()), squares.shape[1])
            best = min(best, (float(squares[row, column]), first + row, first + column))
        return self._pair(*best) if np.isfinite(best[0]) else None

    def _near(self, tolerance: float) -> Iterator[tuple[int, int]]:
        """Yield the pairs of clips that are close enough to show one person."""
        for first, squares_BN in self._blocks():
            near = np.argwhere(squares_BN <= _square(tolerance + WITH_VOICE))
            for row, column in near.tolist():
                one, two = first + row, first + column
                if squares_BN[row, column] <= _square(tolerance) or self._same_voice(one, two):
                    yield one, two

    def _pair(self, square: float, one: int, two: int) -> NearPair:
        first, second = sorted((self.clips[one].clip_id, self.clips[two].clip_id))
        cosine = self._voice_cosine(one, two)
        return NearPair(
            one=first,
            two=second,
            face_distance=round(float(np.sqrt(square)) / STEPS, 4),
            voice_cosine=None if cosine is None else round(cosine, 4),
        )

    def _same_voice(self, one: int, two: int) -> bool:
        cosine = self._voice_cosine(one, two)
        return cosine is not None and cosine >= SAME_VOICE

    def _voice_cosine(self, one: int, two: int) -> float | None:
        voices = [self.clips[number].voice.astype(np.int64) for number in (one, two)]
        return int(voices[0] @ voices[1]) / STEPS**2 if all(v.size for v in voices) else None

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (first row, squared distances) of some rows to those from the first row on."""
        length_N = (self._faces_ND**2).sum(1)
        for first in range(0, len(self.clips), BLOCK):
            rows = slice(first, first + BLOCK)
            product_BN = self._faces_ND[rows] @ self._faces_ND[first:].T
            yield first, length_N[rows, None] + length_N[first:] - 2 * product_BN


def _square(distance: float) -> float:
    return (distance * STEPS) ** 2


def _thousandths(vector: Sequence[float]) -> NDArray[np.int16]:
    return np.rint(np.asarray(vector, np.float64) * STEPS).astype(np.int16)
