"""The held-out clips of an evaluation, each with the film whose sound is its foreign one.

Shape suffixes: T frames, C colours, H and W pixels, N samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.engine.command import DATA
from pipeline.errors import MediaError
from pipeline.params.training import EvaluateParams
from pipeline.tables.rows import FPS
from trainers.data.index import ShardIndex, index_shards
from trainers.data.shard_urls import curated_urls, split_urls
from trainers.errors import TrainingDataError
from trainers.evaluation.speaking_films import SpeakingFilm, SpeakingFilms, drawn_clips

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

MIN_FRAMES = 32
"""Two windows of 16, as in the published protocol of StableSyncNet."""
HELD_OUT = ("test", "val")


@dataclass(frozen=True, slots=True)
class EvaluationClip:
    """A film to be dubbed, and the film whose sound is foreign to it; both of one length."""

    film: SpeakingFilm
    foreign: SpeakingFilm | None
    """None if there is only one clip, or the other one does not decode."""

    @property
    def key(self) -> str:
        """`shard.tar/clip_id`."""
        return self.film.key

    @property
    def foreign_key(self) -> str:
        """Of the film with the foreign sound; empty if there is none."""
        return self.foreign.key if self.foreign else ""

    @property
    def reference(self) -> Pixels:
        """The film's own pictures (T, 3, H, W), half of its length later, the end before the start.

        From 2 windows of frames on, no window of the model holds a picture that it has to make.
        """
        return np.roll(self.film.frames, -(len(self.film) // 2), axis=0)


@dataclass(slots=True)
class EvaluationClips:
    """The clips of an evaluation, decoded one at a time."""

    index: ShardIndex
    params: EvaluateParams
    size_px: int
    skipped: dict[str, str] = field(default_factory=dict)
    """Key of a clip that does not decode -> error. Filled while iterating."""

    def selected(self) -> list[int]:
        """Return the clips to dub, drawn with the seed, in the order of the index."""
        return drawn_clips(self.index, self.params.clips, self.params.seed)

    def __iter__(self) -> Iterator[EvaluationClip]:
        """Decode the selected clips; one that does not decode is recorded and skipped."""
        films = SpeakingFilms(self.index, self.size_px, self.skipped)
        for number in self.selected():
            try:
                yield self._clip(films, number)
            except MediaError as error:
                self.skipped[self.index.key(number)] = str(error)

    def _clip(self, films: SpeakingFilms, number: int) -> EvaluationClip:
        film, foreign = films.film(number), self._foreign(films, number)
        most = min(len(film), round(self.params.max_seconds * FPS))
        if foreign is None:
            return EvaluationClip(film.first(most), None)
        frames = min(most, len(foreign))
        return EvaluationClip(film.first(frames), foreign.first(frames))

    def _foreign(self, films: SpeakingFilms, number: int) -> SpeakingFilm | None:
        """Return the film with the foreign sound; None, and recorded, if it does not decode."""
        other = foreign_clip(number, len(self.index))
        found = films.readable([] if other is None else [other])
        return next(iter(found), None)


def foreign_clip(number: int, clips: int) -> int | None:
    """Return the clip whose sound is used as foreign, half the split away; None if alone.

    Neighbours in a shard are often of one video, clips half the split apart seldom.
    """
    return (number + clips // 2) % clips if clips > 1 else None


def held_out_index(split: str) -> ShardIndex:
    """Return the index of `evaluate.split`: `val`, `test`, or `held_out`, both.

    Raises:
        TrainingDataError: it holds no clip that is long enough; with a hint.
    """
    index = index_shards(_held_out_urls(split), MIN_FRAMES)
    if not len(index):
        raise TrainingDataError(f"data/shards, {split}: no clip of {MIN_FRAMES} frames or more")
    return index


def _held_out_urls(split: str) -> list[str]:
    if split != "held_out":
        return split_urls(split)
    known = [url for url in curated_urls(DATA / "shards") if url.rsplit("/", 2)[-2] in HELD_OUT]
    return known or split_urls("val")
