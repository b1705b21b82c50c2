"""scenes -> clips: every face of every shot, tracked, aligned, cut into clips of 3 to 10 s."""

import hashlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.manifest import read_rows
from pipeline.engine.stage import Reject, Stage
from pipeline.errors import StorageError
from pipeline.faces.backend import FaceBackend
from pipeline.faces.clip_extraction import ExtractionRules, FaceClip, extract_clips
from pipeline.faces.open import open_backend, weights_of
from pipeline.media.audio import decode_audio
from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.media.frames import frames_at_25fps
from pipeline.params.curation import FacesParams, load_params
from pipeline.sources import local_copy, locations
from pipeline.tables.funnel import table_path
from pipeline.tables.rows import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Clip, Scene, Video

TABLE = table_path(DATA, "faces")


@dataclass(frozen=True, slots=True)
class VideoShots:
    """One video with an audio track, where its bytes are, and its shots."""

    video: Video
    location: str
    """A local path or an fsspec URL."""
    shots: tuple[tuple[int, int], ...]
    """[start, end) in frames at 25 fps, ascending; the position is the scene's number."""


class Faces(Stage[VideoShots, Clip]):
    """Finds, follows, aligns and cuts the faces of one video."""

    name: ClassVar[str] = "faces"
    version: ClassVar[str] = "2"

    def __init__(self, params: FacesParams) -> None:
        self.params = params
        self._backend: FaceBackend | None = None

    def item_id(self, item: VideoShots) -> str:
        """Return the video's id."""
        return item.video.video_id

    def identity(self, item: VideoShots) -> Mapping[str, Any]:
        """Return the hash of the bytes and the shots."""
        return {"video_id": item.video.video_id, "shots": [list(shot) for shot in item.shots]}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section without the pack's place and name: `weights` has its content."""
        return self.params.model_dump(exclude={"insightface_name", "insightface_root"})

    def weights(self) -> Mapping[str, str]:
        """Return the digests of the backend's networks.

        Raises:
            WeightsError: a model file is absent or altered.
        """
        return weights_of(self.params)

    def deadline_s(self, item: VideoShots) -> float:
        """Return five minutes plus half a minute per second of video: a crowd takes its time."""
        return 300 + 30 * item.video.duration_s

    def setup(self) -> None:
        """Load the networks and keep OpenCV on one thread."""
        cv2.setNumThreads(1)
        self._backend = open_backend(self.params)

    def process(self, item: VideoShots, workdir: Path) -> Sequence[Clip | Reject] | Reject:
        """Write `<clip_id>.mp4/.flac/.npz` per clip; one row per clip or track too short for one.

        Raises:
            DecodeError: picture or sound do not decode.
            StorageError: workdir cannot be written.
        """
        rules = ExtractionRules.of(self.params)
        cut: list[Clip] = []
        with (
            local_copy(item.location) as path,
            tempfile.TemporaryDirectory(dir=workdir, prefix="scratch-") as folder,
        ):
            scratch = Path(folder)
            sound = _Sound(path, item.video, scratch)
            frames = frames_at_25fps(path)
            for segment in extract_clips(frames, item.shots, self._loaded(), rules, scratch):
                clip = self._row(item.video, segment)
                cut.append(clip)
                if clip.num_frames >= rules.min_frames:
                    self._write(workdir / clip.clip_id, segment, sound)
        if not cut:
            return Reject("no_face", f"no face of at least {self.params.min_face_px} px")
        return [_judge(clip, cut, rules.min_frames) for clip in _in_order(cut)]

    def close(self) -> None:
        """Drop the networks."""
        self._backend = None

    def _loaded(self) -> FaceBackend:
        assert self._backend is not None, "setup() was not called"
        return self._backend

    def _row(self, video: Video, segment: FaceClip) -> Clip:
        real = ~segment.interpolated
        sides = (segment.boxes[:, 2:] - segment.boxes[:, :2]).max(axis=1)
        return Clip(
            clip_id=_clip_id(video.video_id, segment),
            video_id=video.video_id,
            scene=segment.scene,
            track=segment.track,
            start_frame=segment.start_frame,
            end_frame=segment.end_frame,
            num_frames=segment.num_frames,
            backend=self._loaded().name,
            landmark_schema=self._loaded().landmark_schema,
            crop_px=self.params.crop_px,
            face_px=float(np.median(sides)),
            landmark_score=float(segment.scores[real].mean()) if real.any() else 0.0,
            interpolated_frames=int(segment.interpolated.sum()),
            num_faces_in_scene=1,
        )

    def _write(self, stem: Path, segment: FaceClip, sound: "_Sound") -> None:
        write_clip(stem.with_suffix(".mp4"), segment.crops, self.params.crf)
        samples = sound.of(segment.start_frame, segment.end_frame)
        write_flac(stem.with_suffix(".flac"), samples, SAMPLE_RATE_HZ)
        _write_arrays(stem.with_suffix(".npz"), segment)


class _Sound:
    """The audio track of one video, decoded into a scratch file when the first clip needs it."""

    def __init__(self, path: Path, video: Video, scratch: Path) -> None:
        self._path, self._video, self._out = path, video, scratch / "sound.raw"
        self._samples: NDArray[np.int16] | None = None

    def of(self, start_frame: int, end_frame: int) -> NDArray[np.int16]:
        """Return the int16 samples that belong to frames [start_frame, end_frame)."""
        if self._samples is None:
            length = self._video.num_frames * SAMPLES_PER_FRAME
            self._samples = decode_audio(self._path, self._video.video_start_s, length, self._out)
        part = self._samples[start_frame * SAMPLES_PER_FRAME : end_frame * SAMPLES_PER_FRAME]
        return np.array(part)


def _clip_id(video_id: str, segment: FaceClip) -> str:
    text = f"{video_id}|{segment.start_frame}|{segment.end_frame}|{segment.track}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]


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


def _in_order(clips: Sequence[Clip]) -> list[Clip]:
    return sorted(clips, key=lambda clip: (clip.scene, clip.track, clip.start_frame))


def _judge(clip: Clip, all_clips: Sequence[Clip], min_frames: int) -> Clip | Reject:
    """Count the faces beside this one; reject what is too short."""
    together = {
        other.track
        for other in all_clips
        if other.scene == clip.scene
        and other.start_frame < clip.end_frame
        and clip.start_frame < other.end_frame
    }
    counted = replace(clip, num_faces_in_scene=len(together))
    if clip.num_frames >= min_frames:
        return counted
    detail = f"{clip.num_frames} frames, the minimum is {min_frames}"
    return Reject("track_too_short", detail, counted)


def videos_with_shots(data: Path, source: str) -> list[VideoShots]:
    """Join the tables `videos` and `scenes`: one item per video whose shots are known."""
    videos = read_rows(table_path(data, "ingest"), Video)
    where = locations(source, [video.uri for video in videos])
    shots: dict[str, list[tuple[int, int]]] = {}
    for scene in read_rows(table_path(data, "scenes"), Scene):
        shots.setdefault(scene.video_id, []).append((scene.start_frame, scene.end_frame))
    return [
        VideoShots(video, where[video.uri], tuple(sorted(shots[video.video_id])))
        for video in videos
        if video.video_id in shots
    ]


def main() -> None:
    """`python -m stages.faces`, called by dvc.yaml."""
    params = load_params()
    items = videos_with_shots(DATA, params.ingest.source)
    execute(Faces(params.faces), items, TABLE, Clip, params)


if __name__ == "__main__":
    run_main(main)
