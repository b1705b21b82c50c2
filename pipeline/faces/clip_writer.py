"""Writing the clips of one video: face clips into `<clip_id>.mp4/.flac/.npz`, one row each."""

import hashlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError, StorageError
from pipeline.faces.backend import FaceBackend
from pipeline.faces.boxes import face_px
from pipeline.faces.clip_extraction import extract_clips
from pipeline.faces.face_track import Extracted
from pipeline.faces.film_source import FilmSource
from pipeline.faces.track_buffer import ExtractionRules, FaceClip, LeftOut
from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.media.frames import GridFrame
from pipeline.params.curation import FacesParams
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Clip, Video


@dataclass(frozen=True, slots=True)
class FoundClip:
    """A row of the table, and why it has no files: an empty reason where it has."""

    clip: Clip
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FaceClips:
    """What was found of a video's faces."""

    found: tuple[FoundClip, ...]
    broken: DecodeError | None = None
    """Why the picture ended before its end."""
    broken_frame: int = 0
    """The first frame that is missing then."""


def write_face_clips(
    path: Path,
    film: FilmSource,
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    params: FacesParams,
    folder: Path,
) -> FaceClips:
    """Track the faces of a video and write a clip of every segment that is long enough.

    Args:
        path: the video's file.
        shots: [start, end) in frames at 25 fps, ascending.
        folder: where the clips' files go.

    Returns:
        Every clip, and every part of a track that is in none. Where the picture does not decode to
        its end, those before.

    Raises:
        DecodeError: the sound does not decode.
        MediaError: as `film_frames`, but for a picture that breaks off.
        StorageError: the folder cannot be written.
    """
    rules = ExtractionRules.of(params)
    found = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="scratch-") as scratch:
        writer = ClipWriter(path, film, backend, params, folder, Path(scratch))
        frames = UntilBroken(film.frames(path), film.first_frame)
        for segment in extract_clips(
            frames, shots, backend, rules, Path(scratch), film.first_frame
        ):
            one = writer.found(segment)
            found.append(one)
            writer.write(segment, one, one.clip.clip_id)
    return FaceClips(tuple(found), frames.error, frames.next)


class ClipWriter:
    """Writes the files of a video's clips."""

    def __init__(
        self,
        path: Path,
        film: FilmSource,
        backend: FaceBackend,
        params: FacesParams,
        folder: Path,
        scratch: Path,
    ) -> None:
        self._video, self._backend, self._params, self._folder = film.video, backend, params, folder
        self._minimum = ExtractionRules.of(params).min_frames
        self._audio = _VideoAudio(path, film, scratch)

    def found(self, segment: Extracted) -> FoundClip:
        """Return the row of a segment, with its scene and track as they are."""
        return _found(self._video, segment, self._backend, self._params.crop_px, self._minimum)

    def write(self, segment: Extracted, row: FoundClip, stem: str) -> None:
        """Write `<stem>.mp4/.flac/.npz`; nothing for a segment that is no clip."""
        if isinstance(segment, FaceClip) and not row.reason:
            samples = self._audio.between(segment.start_frame, segment.end_frame)
            _write_files(self._folder / stem, segment, samples, self._params.crf)


class UntilBroken:
    """The frames up to a DecodeError, which is kept."""

    def __init__(self, frames: Iterator[GridFrame], first: int) -> None:
        self._frames = frames
        self.error: DecodeError | None = None
        self.next = first
        """Number of the next frame."""

    def __iter__(self) -> Iterator[GridFrame]:
        try:
            for frame in self._frames:
                yield frame
                self.next += 1
        except DecodeError as error:
            self.error = error


class _VideoAudio:
    """The audio track of one video, decoded into a scratch file when it is first needed."""

    def __init__(self, path: Path, film: FilmSource, scratch: Path) -> None:
        self._path, self._film, self._scratch = path, film, scratch
        self._samples: NDArray[np.int16] | None = None

    def between(self, start_frame: int, end_frame: int) -> NDArray[np.int16]:
        """Return a copy of the samples that belong to frames [start_frame, end_frame)."""
        if self._samples is None:
            self._samples = self._film.sound(self._path, self._scratch)
        part = self._samples[start_frame * SAMPLES_PER_FRAME : end_frame * SAMPLES_PER_FRAME]
        return np.array(part)


def _found(
    video: Video, segment: FaceClip | LeftOut, backend: FaceBackend, crop_px: int, minimum: int
) -> FoundClip:
    if isinstance(segment, LeftOut):
        clip = _left_out_row(video, segment, backend, crop_px)
        first, last = (frame / FPS for frame in (clip.start_frame, clip.end_frame))
        return FoundClip(clip, segment.reason, f"{first:.2f} s to {last:.2f} s")
    clip = _row(video, segment, backend, crop_px)
    if clip.num_frames >= minimum:
        return FoundClip(clip)
    return FoundClip(clip, "track_too_short", f"{clip.num_frames} frames, the minimum is {minimum}")


def _row(video: Video, segment: FaceClip, backend: FaceBackend, crop_px: int) -> Clip:
    measured = ~segment.interpolated
    return Clip(
        clip_id=clip_id(video.video_id, segment.start_frame, segment.end_frame, segment.track),
        video_id=video.video_id,
        scene=segment.scene,
        track=segment.track,
        start_frame=segment.start_frame,
        end_frame=segment.end_frame,
        num_frames=segment.num_frames,
        backend=backend.name,
        landmark_schema=backend.landmark_schema,
        crop_px=crop_px,
        face_px=face_px(segment.boxes),
        landmark_score=float(segment.scores[measured].mean()) if measured.any() else 0.0,
        interpolated_frames=int(segment.interpolated.sum()),
        damaged_frames=int(segment.damaged.sum()),
        held_frames=int(segment.held.sum()),
        num_faces_in_scene=1,
    )


def _left_out_row(video: Video, part: LeftOut, backend: FaceBackend, crop_px: int) -> Clip:
    frames, end = part.frames, part.start_frame + len(part.frames)
    return Clip(
        clip_id=clip_id(video.video_id, part.start_frame, end, part.track),
        video_id=video.video_id,
        scene=part.scene,
        track=part.track,
        start_frame=part.start_frame,
        end_frame=end,
        num_frames=len(frames),
        backend=backend.name,
        landmark_schema=backend.landmark_schema,
        crop_px=crop_px,
        face_px=face_px(np.array([one.seen.box for one in frames], np.float32)),
        landmark_score=0.0,
        interpolated_frames=sum(one.seen.interpolated for one in frames),
        damaged_frames=sum(one.damaged for one in frames),
        held_frames=sum(one.held for one in frames),
        num_faces_in_scene=1,
    )


def clip_id(video_id: str, start_frame: int, end_frame: int, track: int) -> str:
    """Name a clip; `track` is the number in the film, in a long one that in the span."""
    text = f"{video_id}|{start_frame}|{end_frame}|{track}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _write_files(stem: Path, segment: FaceClip, audio: NDArray[np.int16], crf: int) -> None:
    write_clip(stem.with_suffix(".mp4"), segment.crops, crf)
    write_flac(stem.with_suffix(".flac"), audio, SAMPLE_RATE_HZ)
    _write_arrays(stem.with_suffix(".npz"), segment)


def _write_arrays(path: Path, segment: FaceClip) -> None:
    """Write the arrays; numpy dates the members of the archive 1980, so equal arrays are equal."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        landmarks=segment.landmarks,
        matrices=segment.matrices,
        scores=segment.scores,
        boxes=segment.boxes,
        interpolated=segment.interpolated,
    )
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
