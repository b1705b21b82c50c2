"""scenes -> clips: every face of every shot, tracked, aligned, as clips of 3 to 10 s."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2

from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.stage import Reject, Stage
from pipeline.faces.backend import FaceBackend
from pipeline.faces.clip_extraction import ExtractionRules
from pipeline.faces.clip_writer import write_face_clips
from pipeline.faces.open import open_backend, weights_of
from pipeline.params.curation import FacesParams, load_params
from pipeline.sources import local_copy, locations
from pipeline.tables.rows import Clip, Scene, Video
from pipeline.tables.run_tables import RunTables, table_path

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
    """Detects, tracks and aligns the faces of one video and writes their clips."""

    name: ClassVar[str] = "faces"
    version: ClassVar[str] = "3"

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
        """Return five minutes plus half a minute per second of video: many faces take long."""
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
        assert self._backend is not None, "setup() was not called"
        with local_copy(item.location) as path:
            clips = write_face_clips(
                path, item.video, item.shots, self._backend, self.params, workdir
            )
        if not clips:
            return Reject("no_face", f"no face of at least {self.params.min_face_px} px")
        min_frames = ExtractionRules.of(self.params).min_frames
        return [_with_neighbours(clip, clips, min_frames) for clip in _in_order(clips)]

    def close(self) -> None:
        """Drop the networks."""
        self._backend = None


def _in_order(clips: Sequence[Clip]) -> list[Clip]:
    return sorted(clips, key=lambda clip: (clip.scene, clip.track, clip.start_frame))


def _with_neighbours(clip: Clip, all_clips: Sequence[Clip], min_frames: int) -> Clip | Reject:
    """Count the faces seen at the same time; reject what is too short."""
    tracks = {
        other.track
        for other in all_clips
        if other.scene == clip.scene
        and other.start_frame < clip.end_frame
        and clip.start_frame < other.end_frame
    }
    counted = replace(clip, num_faces_in_scene=len(tracks))
    if clip.num_frames >= min_frames:
        return counted
    detail = f"{clip.num_frames} frames, the minimum is {min_frames}"
    return Reject("track_too_short", detail, counted)


def videos_with_shots(tables: RunTables, source: str) -> list[VideoShots]:
    """Join the tables `videos` and `scenes`: one item per video whose shots are known."""
    videos = tables.rows("ingest", Video)
    where = locations(source, [video.uri for video in videos])
    shots: dict[str, list[tuple[int, int]]] = {}
    for scene in tables.rows("scenes", Scene):
        shots.setdefault(scene.video_id, []).append((scene.start_frame, scene.end_frame))
    return [
        VideoShots(video, where[video.uri], tuple(sorted(shots[video.video_id])))
        for video in videos
        if video.video_id in shots
    ]


def main() -> None:
    """`python -m stages.faces`, called by dvc.yaml."""
    params = load_params()
    items = videos_with_shots(RunTables(DATA), params.ingest.source)
    execute(Faces(params.faces), items, TABLE, Clip, params)


if __name__ == "__main__":
    run_main(main)
