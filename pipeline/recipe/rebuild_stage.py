"""Rebuilding of the samples of a film as an item of a stage: resumable, on any runner."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import cv2

from pipeline.digest import digest
from pipeline.engine.joining import item_name
from pipeline.engine.stage import Reject, Stage
from pipeline.errors import DecodeError
from pipeline.faces.backend import FaceBackend
from pipeline.faces.film_source import FilmSource
from pipeline.faces.open import open_backend, weights_of
from pipeline.media.spans import reading_s
from pipeline.media.transitions import Span
from pipeline.params.curation import FacesParams
from pipeline.recipe.rebuild import SampleInTheMaking
from pipeline.recipe.record import SampleRecord
from pipeline.recipe.versions import byte_versions
from pipeline.shards.tar import MEMBERS
from pipeline.sources import local_copy
from pipeline.tables.rows import FPS, Video


@dataclass(frozen=True, slots=True)
class FilmToRebuild:
    """A film, or the span of a long one, and the samples that were cut from it."""

    video: Video
    location: str
    span: Span | None
    """As `faces` read the film."""
    lines: tuple[str, ...]
    """Of the recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltSample:
    """A sample whose members are those of the recipe."""

    clip_id: str
    artifact: str = ""
    """Cache key of its members. Filled in by the engine."""


class Rebuild(Stage[FilmToRebuild, RebuiltSample]):
    """Makes the members of all samples of one film."""

    name: ClassVar[str] = "rehydrate"
    version: ClassVar[str] = "1"

    def __init__(self, params: FacesParams) -> None:
        self.params = params
        self._backend: FaceBackend | None = None

    def item_id(self, item: FilmToRebuild) -> str:
        """Return the film's id, for a part of a long film with its first frame."""
        return item_name(item.video.video_id, item.span)

    def identity(self, item: FilmToRebuild) -> Mapping[str, Any]:
        """Return the film's digest and that of the recipe's lines."""
        return {"video_id": item.video.video_id, "lines": digest(list(item.lines))}

    def cache_params(self) -> Mapping[str, Any]:
        """Return what decides the bytes besides the recipe."""
        section = self.params.model_dump(include={"backend", "crop_px", "crf"})
        return {**section, "versions": byte_versions(self.params.backend)}

    def weights(self) -> Mapping[str, str]:
        """Return the digests of the backend's networks."""
        return weights_of(self.params)

    def deadline_s(self, item: FilmToRebuild) -> float:
        """Return five minutes, ten seconds per second of film, and the time to fetch it."""
        first, end = item.span or (0, item.video.num_frames)
        return 300 + 10 * (end - first) / FPS + reading_s(item.video, end)

    def setup(self) -> None:
        """Load the networks and keep OpenCV on one thread."""
        cv2.setNumThreads(1)
        self._backend = open_backend(self.params)

    def process(
        self, item: FilmToRebuild, workdir: Path
    ) -> Sequence[RebuiltSample | Reject] | Reject:
        """Write the members of each sample; reject those of which one is not as recorded.

        Raises:
            DecodeError: the film does not decode.
            StorageError: workdir cannot be written.
        """
        assert self._backend is not None, "setup was called"
        waiting = [
            SampleInTheMaking(SampleRecord.of_line(one), self._backend, self.params.crop_px)
            for one in item.lines
        ]
        film = FilmSource(item.video, item.span)
        made: list[RebuiltSample | Reject] = []
        with (
            tempfile.TemporaryDirectory(dir=workdir, prefix="scratch-") as scratch,
            local_copy(item.location) as path,
        ):
            sound = film.sound(path, Path(scratch))

            def finish(one: SampleInTheMaking) -> None:
                differing = one.write(sound, self.params.crf, workdir, Path(scratch))
                made.append(_row(one.record, differing, workdir))
                waiting.remove(one)

            for number, frame in enumerate(film.frames(path), film.first_frame):
                for one in list(waiting):
                    one.add(number, frame.image)
                    if one.complete:
                        finish(one)
                if not waiting:
                    break
        if waiting:
            raise DecodeError(f"the film ends before sample {waiting[0].record.clip_id} does")
        return made

    def close(self) -> None:
        """Drop the networks."""
        self._backend = None


def _row(record: SampleRecord, differing: list[str], folder: Path) -> RebuiltSample | Reject:
    row = RebuiltSample(clip_id=record.clip_id)
    if not differing:
        return row
    for suffix in MEMBERS:
        (folder / f"{record.clip_id}.{suffix}").unlink()
    return Reject("differs", ", ".join(differing), row)


def video_of(facts: Mapping[str, Any]) -> Video:
    """Return the film's row as a sample's JSON holds it; fields of other versions are left out."""
    known = {one.name for one in fields(Video)}
    return Video(**{name: value for name, value in facts["video"].items() if name in known})
