"""The stage `faces`: one video and its shots -> the clips of its faces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2

from pipeline.engine.cache import Cache
from pipeline.engine.joining import item_name
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.faces.backend import FaceBackend
from pipeline.faces.clip_writer import FaceClips, FoundClip, write_face_clips
from pipeline.faces.film_source import FilmSource
from pipeline.faces.open import library_versions, open_backend, own_weights_of, weights_of
from pipeline.media.spans import reading_s
from pipeline.media.transitions import Span
from pipeline.params.curation import FacesParams
from pipeline.sources import local_copy
from pipeline.tables.rows import FPS, Clip, Video

FILM = Resources(memory_bytes=1_200_000_000)
"""Measured: 0.73 GB for 4K with a face lost for a second, 0.45 GB for an hour of 1080p; since then
19 more pictures wait for their crop, 12 MB each in 4K."""
ON_CARD = replace(FILM, gpus=0.25)
"""Of the 36 ms of a frame a quarter is spent on the card, the rest on preparing it."""


@dataclass(frozen=True, slots=True)
class VideoShots:
    """One video with an audio track, where its bytes are, and its shots."""

    video: Video
    location: str
    """A local path or an fsspec URL."""
    shots: tuple[Span, ...]
    """[start, end) in frames at 25 fps, ascending; the position is the scene's number."""
    span: Span | None = None
    """The part of a long film that is looked at, which cuts its first and last shot; None: all."""
    first_scene: int = 0
    """Number of the first shot."""


class Faces(Stage[VideoShots, Clip]):
    """Detects, tracks and aligns the faces of one video and writes their clips."""

    name: ClassVar[str] = "faces"
    version: ClassVar[str] = "7"

    def __init__(self, params: FacesParams, cache: Cache | None = None) -> None:
        """Prepare the stage.

        Args:
            cache: where the sound of a long film lies, which its spans share.
        """
        self.params, self._cache = params, cache
        self.resources = ON_CARD if params.backend == "insightface" else FILM
        self._backend: FaceBackend | None = None

    def item_id(self, item: VideoShots) -> str:
        """Return the video's id, for a part of a long film with its first frame."""
        return item_name(item.video.video_id, item.span)

    def identity(self, item: VideoShots) -> Mapping[str, Any]:
        """Return the hash of the bytes, the shots, and where the picture begins in the sound."""
        part = {"span": list(item.span), "first_scene": item.first_scene} if item.span else {}
        return {
            **part,
            "video_id": item.video.video_id,
            "shots": [list(shot) for shot in item.shots],
            "video_start_s": item.video.video_start_s,
            "num_frames": item.video.num_frames,
        }

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section, and the versions of what decodes, looks, reduces and encodes.

        The pack's place and name are left out: `weights` has its content.
        """
        section = self.params.model_dump(exclude={"insightface_name", "insightface_root"})
        return {**section, "versions": library_versions(self.params.backend)}

    def weights(self) -> Mapping[str, str]:
        """Return the digests of the backend's networks.

        Raises:
            WeightsError: a model file is absent or altered.
        """
        return weights_of(self.params)

    def own_weights(self) -> Mapping[str, Path]:
        """Return the files of InsightFace's pack."""
        return own_weights_of(self.params)

    def deadline_s(self, item: VideoShots) -> float:
        """Return five minutes plus half a minute per second of video, since many faces take long,
        and the time to fetch the film and to decode all that is before.
        """
        first, end = item.span or (0, item.video.num_frames)
        return 300 + 30 * (end - first) / FPS + reading_s(item.video, end)

    def setup(self) -> None:
        """Load the networks and keep OpenCV on one thread."""
        cv2.setNumThreads(1)
        self._backend = open_backend(self.params)

    def process(self, item: VideoShots, workdir: Path) -> Sequence[Clip | Reject] | Reject:
        """Write `<clip_id>.mp4/.flac/.npz` per clip; one row per clip or part that is in none.

        A picture that breaks off after a clip was complete costs what is behind: the rest of the
        film is a rejected row.

        Raises:
            DecodeError: the picture breaks off before a clip was complete, or the sound does not
                decode.
            StorageError: workdir cannot be written.
        """
        film = FilmSource(item.video, item.span, self._cache)
        with local_copy(item.location) as path:
            clips = write_face_clips(path, film, item.shots, self.backend, self.params, workdir)
        return self.rows(item, clips)

    def rows(self, item: VideoShots, clips: FaceClips) -> Sequence[Clip | Reject] | Reject:
        """Return the rows of an item whose clips are written."""
        if clips.broken and all(one.reason for one in clips.found):
            raise clips.broken
        if not clips.found:
            return Reject("no_face", f"no face of at least {self.params.min_face_px} px")
        rows = [_row(one, clips.found, item) for one in sorted(clips.found, key=_order)]
        return [*rows, _rest(item, clips)] if clips.broken else rows

    @property
    def backend(self) -> FaceBackend:
        """Return the backend that `setup` has loaded."""
        assert self._backend is not None, "setup() was not called"
        return self._backend

    def close(self) -> None:
        """Drop the networks."""
        self._backend = None


def _order(one: FoundClip) -> tuple[int, int, int]:
    return one.clip.scene, one.clip.track, one.clip.start_frame


def _row(one: FoundClip, found: Sequence[FoundClip], item: VideoShots) -> Clip | Reject:
    """Count the faces seen at the same time."""
    clip = one.clip
    tracks = {
        other.clip.track
        for other in found
        if other.clip.scene == clip.scene
        and other.clip.start_frame < clip.end_frame
        and clip.start_frame < other.clip.end_frame
    }
    scene = item.first_scene + clip.scene
    counted = replace(clip, scene=scene, num_faces_in_scene=len(tracks))
    return Reject(one.reason, one.detail, counted) if one.reason else counted


def _rest(item: VideoShots, clips: FaceClips) -> Reject:
    """Return the row for the film behind the place where its picture breaks off."""
    assert clips.broken is not None
    like = clips.found[0].clip
    last = item.span[1] if item.span else item.video.num_frames
    begin, end = clips.broken_frame, max(clips.broken_frame, last)
    row = replace(
        like,
        clip_id=f"{item.video.video_id[:12]}-rest-{begin}",
        scene=-1,
        track=-1,
        start_frame=begin,
        end_frame=end,
        num_frames=end - begin,
        face_px=0.0,
        landmark_score=0.0,
        interpolated_frames=0,
        damaged_frames=0,
        held_frames=0,
        num_faces_in_scene=0,
    )
    return Reject(clips.broken.reason, f"after {begin / FPS:.2f} s: {clips.broken}", row)
