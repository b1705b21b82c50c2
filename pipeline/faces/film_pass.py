"""Shots and face clips of a film from one decode.

The shots are final only at the end of the film: a cut may turn out to lie in a flash or a dissolve.
So clips are made for the shots as they are cut so far, hard cuts being known two frames later. A
shot that turns out otherwise is left out and extracted again, which costs a second decode. The
result is always that of `find_shots` and `write_face_clips`, one after the other.
"""

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.faces.backend import FaceBackend
from pipeline.faces.clip_extraction import Numbers, Placed, extract_placed, in_shots
from pipeline.faces.clip_writer import ClipWriter, FaceClips, FoundClip, clip_id
from pipeline.faces.film_source import FilmSource
from pipeline.faces.track_buffer import ExtractionRules
from pipeline.media.frames import GridFrame, film_frames, read_video_clock
from pipeline.media.shots import ShotFinder
from pipeline.media.transitions import Span
from pipeline.params.curation import FacesParams, ScenesParams
from pipeline.tables.rows import Video

SUFFIXES = (".mp4", ".flac", ".npz")


@dataclass(frozen=True, slots=True)
class _Pending:
    """A row before shots and tracks are numbered, and the stem of its files."""

    row: FoundClip
    stem: str


def shots_and_clips(
    path: Path,
    video: Video,
    scenes: ScenesParams,
    backend: FaceBackend,
    params: FacesParams,
    folder: Path,
) -> tuple[list[Span], FaceClips]:
    """Return what `find_shots` and `write_face_clips` return for a film that decodes to its end.

    Args:
        folder: where the clips' files go.

    Raises:
        DecodeError: the picture breaks off, or the sound does not decode.
        MediaError: as `film_frames`.
        StorageError: the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="scratch-") as scratch:
        writer = ClipWriter(path, FilmSource(video), backend, params, folder, Path(scratch))
        one_pass = _Pass(writer, backend, ExtractionRules.of(params), Path(scratch))
        finder = ShotFinder(read_video_clock(path), scenes)
        cut = _AsCut(film_frames(path, finder.add), finder)
        found = one_pass.run(cut)
        shots = finder.shots()
        right = set(shots) & set(cut.shots)
        starts = {start for start, _ in right}
        kept = [one for one in found if one.row.clip.scene in starts]
        _remove(folder, [one for one in found if one.row.clip.scene not in starts])
        again = [shot for shot in shots if shot not in right]
        if again:
            kept += one_pass.run(in_shots(film_frames(path), again))
    return shots, FaceClips(tuple(_named(video, shots, kept, folder)))


class _AsCut:
    """The frames of a film in the shots as they are known, each held back until that is final."""

    def __init__(self, frames: Iterator[GridFrame], finder: ShotFinder) -> None:
        self._frames, self._finder = frames, finder
        self._taken = 0
        self._start = 0
        self.shots: list[Span] = []

    def __iter__(self) -> Iterator[Placed]:
        waiting: deque[tuple[int, GridFrame]] = deque()
        count = 0
        for index, frame in enumerate(self._frames):
            waiting.append((index, frame))
            count = index + 1
            while waiting and waiting[0][0] < self._finder.settled:
                yield self._placed(*waiting.popleft())
        self._finder.end()
        while waiting:
            yield self._placed(*waiting.popleft())
        self.shots.append((self._start, count))

    def _placed(self, index: int, frame: GridFrame) -> Placed:
        cuts = self._finder.cuts
        while self._taken < len(cuts) and cuts[self._taken] <= index:
            if cuts[self._taken] > self._start:
                self.shots.append((self._start, cuts[self._taken]))
                self._start = cuts[self._taken]
            self._taken += 1
        return self._start, index, frame


@dataclass(frozen=True, slots=True)
class _Pass:
    """Extracts and writes clips whose names are not known yet."""

    writer: ClipWriter
    backend: FaceBackend
    rules: ExtractionRules
    scratch: Path

    def run(self, frames: Iterator[Placed] | _AsCut) -> list[_Pending]:
        pending = []
        for segment in extract_placed(frames, self.backend, self.rules, self.scratch):
            row = self.writer.found(segment)
            stem = f"pending-{segment.scene}-{row.clip.clip_id}"
            self.writer.write(segment, row, stem)
            pending.append(_Pending(row, stem))
        return pending


def _remove(folder: Path, pending: Sequence[_Pending]) -> None:
    for one in pending:
        for suffix in SUFFIXES:
            (folder / one.stem).with_suffix(suffix).unlink(missing_ok=True)


def _named(
    video: Video, shots: Sequence[Span], pending: Sequence[_Pending], folder: Path
) -> Iterator[FoundClip]:
    """Number shots and tracks, and give the files their names."""
    numbers = Numbers([start for start, _ in shots])
    for one in sorted(pending, key=lambda one: one.row.clip.scene):
        clip = one.row.clip
        scene, track = numbers.of(clip.scene, clip.track)
        name = clip_id(video.video_id, clip.start_frame, clip.end_frame, track)
        if not one.row.reason:
            for suffix in SUFFIXES:
                (folder / one.stem).with_suffix(suffix).rename((folder / name).with_suffix(suffix))
        yield replace(one.row, clip=replace(clip, clip_id=name, scene=scene, track=track))
