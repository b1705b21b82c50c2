"""Films of a speaking face with the true opening of the mouth, decoded one by one.

Shape suffixes: T frames, C colours, H and W pixels, N samples, G geometry numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MediaError
from pipeline.tables.rows import SAMPLES_PER_FRAME
from trainers.data.index import ShardIndex
from trainers.data.indexed_clips import decode_indexed
from trainers.evaluation.mouth_shape import crop_geometry, mouth_opening
from trainers.evaluation.stored_landmarks import StoredLandmarks

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SpeakingFilm:
    """Pictures, sound and mouth of one clip."""

    key: str
    """`shard.tar/clip_id`."""
    frames: Pixels
    """(T, 3, H, W) RGB."""
    audio: Samples
    """(T * 640,) 16 kHz mono."""
    opening: Doubles
    """(T,) of the mouth by the stored landmarks (mouth_shape.py)."""
    geometry: Doubles
    """(T, G): crop matrix and eye corners."""

    def __len__(self) -> int:
        return len(self.frames)

    def first(self, frames: int) -> "SpeakingFilm":
        """Return the first frames."""
        return SpeakingFilm(
            self.key,
            self.frames[:frames],
            self.audio[: frames * SAMPLES_PER_FRAME],
            self.opening[:frames],
            self.geometry[:frames],
        )


@dataclass(slots=True)
class SpeakingFilms:
    """The films of an index at one size."""

    index: ShardIndex
    size_px: int
    skipped: dict[str, str] = field(default_factory=dict)
    """Key of a clip that is damaged -> error. Filled by `readable`."""
    _landmarks: StoredLandmarks = field(init=False)

    def __post_init__(self) -> None:
        self._landmarks = StoredLandmarks(self.index)

    def film(self, number: int) -> SpeakingFilm:
        """Decode a clip of the index.

        Raises:
            MediaError: it is damaged.
            ShardReadError: the storage refuses.
        """
        landmarks = self._landmarks.of(number)
        clip = decode_indexed(self.index, number, self.size_px)
        opening_T = mouth_opening(landmarks.schema, landmarks.points)
        geometry_TG = crop_geometry(landmarks)
        return SpeakingFilm(self.index.key(number), clip.frames, clip.audio, opening_T, geometry_TG)

    def readable(self, numbers: Sequence[int]) -> Iterator[SpeakingFilm]:
        """Decode clips in the given order; a damaged one is recorded and skipped."""
        for number in numbers:
            try:
                yield self.film(number)
            except MediaError as error:
                self.skipped[self.index.key(number)] = str(error)


def drawn_clips(index: ShardIndex, clips: int, seed: int) -> list[int]:
    """Return so many clips of an index, or all, drawn with the seed, in the order of the index."""
    drawn = np.random.default_rng(seed).permutation(len(index))
    return sorted(int(number) for number in drawn[:clips])
