"""video -> the audio-visual offset of every face in it: the stage behind `lipforge judge`.

Shots, faces and the judge are those of the curation stages, but a face is scored over its whole
track, nothing is encoded and no threshold is applied.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.errors import EmptyFileError, NotMediaError
from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.boxes import face_px
from pipeline.faces.landmark_tracks import LandmarkTrack, track_landmarks
from pipeline.faces.open import open_backend, own_weights_of, weights_of
from pipeline.faces.tracking import TrackingRules
from pipeline.judge.choice import Choice
from pipeline.judge.curve import JudgeResult
from pipeline.judge.syncnet.crops import as_crop, detector_boxes, render_crops
from pipeline.media.audio import decode_audio
from pipeline.media.excerpt import frames_between
from pipeline.media.frames import film_frames
from pipeline.media.probe import Probe, probe
from pipeline.media.shots import find_shots
from pipeline.params.curation import FacesParams, ScenesParams
from pipeline.sources import fingerprint, has_video_suffix, local_copy
from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME

PIECE_FRAMES = 120 * FPS
"""Tracks of 4 minutes or more are scored in pieces of 2 to 4 minutes, to bound the memory."""
DEADLINE_S_PER_MB = 60.0
"""A talking head at 250 kbit/s is 32 s per MB: twice real time, for SyncNet on a busy CPU."""
SHORTEST_DEADLINE_S, LONGEST_DEADLINE_S = 15 * 60.0, 12 * 3600.0
UNKNOWN_BYTES = 1e9
"""Assumed size of a remote file."""


@dataclass(frozen=True, slots=True)
class NamedVideo:
    """One file: the name the user gave it, and its location."""

    name: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceScore:
    """One face in one shot of one video: its frames, its size and its sync score."""

    face: int
    """Number of the track in its video."""
    scene: int
    start_frame: int
    """In frames at 25 fps, as `end_frame`, the first frame after the track."""
    end_frame: int
    face_px: float
    """Median of the longer side of the landmarks' extent, in pixels of the video."""
    judge: str
    mode: str
    fallback: str
    offset_frames: int
    offset_subframe: float
    confidence: float
    min_distance: float
    probability: float | None
    drift_frames: float | None
    curve: list[float] = field(default_factory=list)


class VideoJudge(Stage[NamedVideo, FaceScore]):
    """Scores every face of one video that is visible for at least `min_seconds`."""

    name: ClassVar[str] = "judge"
    version: ClassVar[str] = "3"

    def __init__(self, choice: Choice, min_seconds: float, cropped: bool = False) -> None:
        """If `cropped`, videos are SyncNet's crops of one face: no shots, faces or cropping."""
        assert choice.judge == "syncnet" or not cropped, "landmarks are placed on whole frames"
        self.choice, self.cropped = choice, cropped
        self.min_frames = round(min_seconds * FPS)
        self.faces, self.scenes = FacesParams(), ScenesParams()
        self.resources = Resources(memory_bytes=2_000_000_000)

    def item_id(self, item: NamedVideo) -> str:
        """Return the name the user gave."""
        return item.name

    def identity(self, item: NamedVideo) -> Mapping[str, Any]:
        """Return size and time of the file: an unchanged file is not read again."""
        return {"file": fingerprint(item.location), "named_video": has_video_suffix(item.name)}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the judge, its mode, the shortest track and whether the videos are crops."""
        own = {"min_frames": self.min_frames, "cropped": self.cropped}
        return {**self.choice.cache_params(), **own}

    def weights(self) -> Mapping[str, str]:
        """Return the digests of the judge and the face networks."""
        return {**weights_of(self.faces), **self.choice.weights()}

    def own_weights(self) -> Mapping[str, Path]:
        """Return those that the user named by a path."""
        return {**own_weights_of(self.faces), **self.choice.own_weights()}

    def deadline_s(self, item: NamedVideo) -> float:
        """Return 15 minutes to 12 hours, by the file's size: its duration is not known yet."""
        path = Path(item.location)
        size = path.stat().st_size if path.is_file() else UNKNOWN_BYTES
        return min(max(DEADLINE_S_PER_MB * size / 1e6, SHORTEST_DEADLINE_S), LONGEST_DEADLINE_S)

    def setup(self) -> None:
        """Load the judge and the face networks."""
        cv2.setNumThreads(1)
        self._backend: FaceBackend | None = open_backend(self.faces)
        self._judge: Any = self.choice.load()

    def close(self) -> None:
        """Drop the networks."""
        self._backend = self._judge = None

    def process(self, item: NamedVideo, workdir: Path) -> Sequence[FaceScore | Reject] | Reject:
        """Return one row per face; a face that is visible too briefly is a rejected part.

        Raises:
            MediaError: the file cannot be read, or video or audio do not decode.
        """
        with local_copy(item.location) as path:
            try:
                facts = probe(path)
            except (NotMediaError, EmptyFileError):
                if has_video_suffix(item.name):
                    raise
                return Reject("not_media", "no demuxer opens it, and its name claims no video")
            if unfit := self._unfit(facts):
                return unfit
            with tempfile.TemporaryDirectory(dir=workdir, prefix="scratch-") as scratch:
                rows = list(self._scores(path, facts, Path(scratch)))
        rows.sort(key=_order)
        return rows or Reject("no_face", f"no face of at least {self.faces.min_face_px} px")

    def _unfit(self, facts: Probe) -> Reject | None:
        if not facts.video_codec:
            return Reject("no_video", "the file has no video stream")
        if not facts.audio_codec:
            return Reject("no_audio", "the file has no audio stream")
        if self.cropped and facts.width != facts.height:
            size = f"{facts.width} x {facts.height} px"
            return Reject("not_a_crop", f"{size}: SyncNet's crops are square; omit --cropped")
        return None

    def _scores(self, path: Path, facts: Probe, scratch: Path) -> Iterator[FaceScore | Reject]:
        samples = facts.num_frames * SAMPLES_PER_FRAME
        audio = decode_audio(path, facts.video_start_s, samples, scratch / "sound.raw")
        for track in [_full_frame_track(facts)] if self.cropped else self._tracks(path, facts):
            begin, end = (n * SAMPLES_PER_FRAME for n in (track.start_frame, track.end_frame))
            yield self._row(track, np.array(audio[begin:end]), path, facts)

    def _tracks(self, path: Path, facts: Probe) -> Iterator[LandmarkTrack]:
        assert self._backend is not None, "setup() was not called"
        shots = find_shots(path, self.scenes)
        rules = TrackingRules.of(self.faces)
        frames = (frame.image for frame in film_frames(path))
        return track_landmarks(frames, shots, self._backend, rules, PIECE_FRAMES)

    def _row(
        self, track: LandmarkTrack, audio: NDArray[np.int16], path: Path, facts: Probe
    ) -> FaceScore | Reject:
        if len(track.landmarks) < self.min_frames:
            return _reject("track_too_short", track, f"minimum {self.min_frames / FPS:.2f} s")
        try:
            return _face_score(track, self.choice, self._score(track, audio, path, facts))
        except ValueError as error:
            return _reject("cannot_be_judged", track, str(error))

    def _score(
        self, track: LandmarkTrack, audio: NDArray[np.int16], path: Path, facts: Probe
    ) -> JudgeResult:
        if self.choice.judge == "landmark":
            result: JudgeResult = self._judge.score(track.landmarks, audio)
            return result
        frames = frames_between(path, facts, track.start_frame, track.end_frame)
        crops = map(as_crop, frames) if self.cropped else self._rendered_crops(frames, track)
        scored: JudgeResult = self._judge.score(crops, audio, mode=self.choice.mode)
        return scored

    def _rendered_crops(self, frames: Iterator[Frame], track: LandmarkTrack) -> Iterator[Frame]:
        assert self._backend is not None, "setup() was not called"
        return render_crops(frames, detector_boxes(track.boxes, self._backend.landmark_schema))


def _full_frame_track(facts: Probe) -> LandmarkTrack:
    """Return the full frame of the full video as one face."""
    boxes = np.tile(np.array([0, 0, facts.width, facts.height], np.float32), (facts.num_frames, 1))
    return LandmarkTrack(0, 0, 0, np.zeros((facts.num_frames, 0, 3), np.float32), boxes)


def _face_score(track: LandmarkTrack, choice: Choice, result: JudgeResult) -> FaceScore:
    return FaceScore(
        face=track.face,
        scene=track.scene,
        start_frame=track.start_frame,
        end_frame=track.end_frame,
        face_px=face_px(track.boxes),
        **choice.score_fields(result),
    )


def _reject(reason: str, track: LandmarkTrack, detail: str) -> Reject:
    begin_s, end_s = track.start_frame / FPS, track.end_frame / FPS
    return Reject(reason, f"face {track.face}, {begin_s:.2f}-{end_s:.2f} s: {detail}")


def _order(row: FaceScore | Reject) -> tuple[bool, int, int, str]:
    if isinstance(row, Reject):
        return True, 0, 0, row.detail
    return False, row.start_frame, row.face, ""
