"""Regressions that read the opening of the mouth, fitted on films of the train split.

One reads made mouths: from pixels that the model generates whole, so that the picture around them
cannot lend it the opening. The others say what could be known without seeing the mouth: from the
sound, from the pixels that are kept, and from the crop's geometry.

All features and targets are taken relative to the mean of their clip, sound features to their mean
over the train split.

Shape suffixes: T frames, C colours, H and W pixels, N rows, K features, G geometry numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.errors import TrainingDataError
from trainers.evaluation.pixel_regions import PixelRegion, Pixels, kept_region, mouth_region
from trainers.evaluation.ridge import Doubles, RidgeSums
from trainers.evaluation.sound_regression import SoundRegression, SoundRows, fit_sound_regression
from trainers.evaluation.speaking_films import SpeakingFilm

PIXEL_PENALTY = 0.4
"""Of the ridges on pixels, as a share (ridge.py): r of 0.93 to 0.99 on held-out real films."""
GEOMETRY_PENALTY = 1e-3


@dataclass(frozen=True, slots=True)
class PixelReader:
    """Reads the opening from the pixels of a region."""

    region: PixelRegion
    weights: Doubles
    """(K,)"""

    def opening(self, frames_TCHW: Pixels) -> Doubles:
        """Return the opening (T,) relative to its mean over the clip, in distances of the eyes."""
        return np.asarray(self.region.levels(frames_TCHW) @ self.weights, np.float64)


@dataclass(frozen=True, slots=True)
class GeometryReader:
    """Reads the opening from crop matrix and eye positions."""

    scales: Doubles
    weights: Doubles
    """(G,) both."""

    def opening(self, geometry_TG: Doubles) -> Doubles:
        """Return the opening (T,) relative to its mean over the clip."""
        return np.asarray(_centred(geometry_TG) / self.scales @ self.weights)


@dataclass(frozen=True, slots=True)
class OpeningReaders:
    """All regressions."""

    mouth: PixelReader
    kept: PixelReader
    sound: SoundRegression
    geometry: GeometryReader
    films: int
    """Of the train split that they were fitted on."""
    frames: int


def fit_readers(films: Iterable[SpeakingFilm], size_px: int, seed: int) -> OpeningReaders:
    """Fit all regressions in one pass over films of the train split.

    Args:
        size_px: height and width of the films.
        seed: draws the frames of the kernel regression.

    Raises:
        TrainingDataError: there is no film.
    """
    mouth, kept = (_PixelFit(region(size_px)) for region in (mouth_region, kept_region))
    sounds, geometry, openings = SoundRows(), list[Doubles](), list[Doubles]()
    for film in films:
        opening_T = _centred(film.opening)
        mouth.add(film.frames, opening_T)
        mouth.add(film.frames[..., ::-1], opening_T)
        kept.add(film.frames, opening_T)
        sounds.add(film.audio, opening_T)
        geometry.append(_centred(film.geometry))
        openings.append(opening_T)
    if not openings:
        raise TrainingDataError(
            "data/shards/train: no film that the opening readers can learn from"
        )
    return OpeningReaders(
        mouth.reader(),
        kept.reader(),
        fit_sound_regression(sounds, seed),
        _geometry_reader(geometry, openings),
        len(openings),
        sum(map(len, openings)),
    )


class _PixelFit:
    def __init__(self, region: PixelRegion) -> None:
        self._region, self._sums = region, RidgeSums(region.features)

    def add(self, frames_TCHW: Pixels, opening_T: Doubles) -> None:
        self._sums.add(self._region.levels(frames_TCHW), opening_T)

    def reader(self) -> PixelReader:
        return PixelReader(self._region, self._sums.weights(PIXEL_PENALTY))


def _geometry_reader(geometry: Sequence[Doubles], openings: Sequence[Doubles]) -> GeometryReader:
    rows_NG = np.concatenate(geometry)
    scales_G = np.maximum(rows_NG.std(axis=0), 1e-9)
    sums = RidgeSums(rows_NG.shape[1])
    sums.add(rows_NG / scales_G, np.concatenate(openings))
    return GeometryReader(scales_G, sums.weights(GEOMETRY_PENALTY))


def _centred(values: NDArray[Any]) -> Doubles:
    return np.asarray(values - values.mean(axis=0), np.float64)
