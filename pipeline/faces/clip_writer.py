"""Writing the clips of one video: face clips into `<clip_id>.mp4/.flac/.npz`, one row each."""

import hashlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.faces.backend import FaceBackend
from pipeline.faces.boxes import face_px
from pipeline.faces.clip_extraction import ExtractionRules, FaceClip, extract_clips
from pipeline.media.audio import decode_audio
from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.media.frames import frames_at_25fps
from pipeline.params.curation import FacesParams
from pipeline.tables.rows import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Clip, Video


def write_face_clips(
    path: Path,
    video: Video,
    shots: Sequence[tuple[int, int]],
    backend: FaceBackend,
    params: FacesParams,
    folder: Path,
) -> list[Clip]:
    """Track the faces of a video and write a clip of every segment that is long enough.

    Args:
        path: the video's file.
        shots: [start, end) in frames at 25 fps, ascending.
        folder: where the clips' files go.

    Returns:
        The row of every segment, those too short for a clip included.

    Raises:
        DecodeError: picture or sound do not decode.
        StorageError: the folder cannot be written.
    """
    rules = ExtractionRules.of(params)
    clips = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="scratch-") as scratch:
        audio = _VideoAudio(path, video, Path(scratch))
        frames = frames_at_25fps(path)
        for segment in extract_clips(frames, shots, backend, rules, Path(scratch)):
            clip = _row(video, segment, backend, params.crop_px)
            clips.append(clip)
            if clip.num_frames >= rules.min_frames:
                samples = audio.between(segment.start_frame, segment.end_frame)
                _write_files(folder / clip.clip_id, segment, samples, params.crf)
    return clips


class _VideoAudio:
    """The audio track of one video, decoded into a scratch file when it is first needed."""

    def __init__(self, path: Path, video: Video, scratch: Path) -> None:
        self._path, self._video, self._out = path, video, scratch / "sound.raw"
        self._samples: NDArray[np.int16] | None = None

    def between(self, start_frame: int, end_frame: int) -> NDArray[np.int16]:
        """Return a copy of the samples that belong to frames [start_frame, end_frame)."""
        if self._samples is None:
            length = self._video.num_frames * SAMPLES_PER_FRAME
            self._samples = decode_audio(self._path, self._video.video_start_s, length, self._out)
        part = self._samples[start_frame * SAMPLES_PER_FRAME : end_frame * SAMPLES_PER_FRAME]
        return np.array(part)


def _row(video: Video, segment: FaceClip, backend: FaceBackend, crop_px: int) -> Clip:
    measured = ~segment.interpolated
    return Clip(
        clip_id=_clip_id(video.video_id, segment),
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
        num_faces_in_scene=1,
    )


def _clip_id(video_id: str, segment: FaceClip) -> str:
    text = f"{video_id}|{segment.start_frame}|{segment.end_frame}|{segment.track}"
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
