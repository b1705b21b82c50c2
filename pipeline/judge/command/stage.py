"""video -> the audio-visual offset of every face in it: the stage behind `lipforge judge`.

Shots, faces and the judge are those of the data line, but a face is judged over its whole track,
nothing is encoded and nothing is decided.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.engine.stage import Reject, Stage
from pipeline.errors import EmptyFileError, NotMediaError
from pipeline.faces.backend import FaceBackend, Frame
from pipeline.faces.landmark_tracks import FaceTrack, follow_faces
from pipeline.faces.open import open_backend, weights_of
from pipeline.faces.tracking import TrackingRules
from pipeline.judge.choice import Choice
from pipeline.judge.curve import JudgeResult
from pipeline.judge.syncnet.crops import as_crop, detector_boxes, render_crops
from pipeline.media.audio import decode_audio
from pipeline.media.excerpt import frames_between
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import Probe, probe
from pipeline.media.shots import find_shots
from pipeline.params.curation import FacesParams, ScenesParams
from pipeline.sources import fingerprint, local_copy
from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME

PIECE_FRAMES = 120 * FPS
"""A track of 4 minutes or more is judged in pieces of 2 to 4, so that an hour needs no more memory.
"""
DEADLINE_S_PER_MB = 60.0
"""A talking head at 250 kbit/s plays 32 s per MB: twice real time, for SyncNet on a busy CPU."""
SHORTEST_DEADLINE_S, LONGEST_DEADLINE_S = 15 * 60.0, 12 * 3600.0
UNKNOWN_BYTES = 1e9
"""Taken for the size of a remote file."""
VIDEO_NAMES = frozenset(
    {".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"}
    | {".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Names that claim to be video: if nothing opens such a file it has failed, another is no video."""


@dataclass(frozen=True, slots=True)
class VideoToJudge:
    """One file, by the name its user gave it, and where its bytes are."""

    name: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceScore:
    """One face in one shot of one video: where it is, and what the judge says."""

    face: int
    """Number of the track in its video."""
    scene: int
    start_frame: int
    """In frames at 25 fps, as `end_frame`, which is the first one after the track."""
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


class VideoJudge(Stage[VideoToJudge, FaceScore]):
    """Judges every face of one video that is to be seen for at least `min_seconds`."""

    name: ClassVar[str] = "judge"
    version: ClassVar[str] = "2"

    def __init__(self, choice: Choice, min_seconds: float, cropped: bool = False) -> None:
        """Take `cropped` videos for SyncNet's crops of one face: no shots, no faces, no crop."""
        assert choice.judge == "syncnet" or not cropped, "landmarks are placed on whole frames"
        self.choice, self.cropped = choice, cropped
        self.min_frames = round(min_seconds * FPS)
        self.faces, self.scenes = FacesParams(), ScenesParams()

    def item_id(self, item: VideoToJudge) -> str:
        """Return the name the user gave."""
        return item.name

    def identity(self, item: VideoToJudge) -> Mapping[str, Any]:
        """Return size and time of the file: one that has not changed is not read again."""
        return {"file": fingerprint(item.location), "named_video": _claims_video(item)}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the judge, its mode, the shortest track and whether it is cut already."""
        own = {"min_frames": self.min_frames, "cropped": self.cropped}
        return {**self.choice.cache_params(), **own}

    def weights(self) -> Mapping[str, str]:
        """Return the digests of the judge and the face networks."""
        return {**weights_of(self.faces), **self.choice.weights()}

    def deadline_s(self, item: VideoToJudge) -> float:
        """Return 15 minutes to 12 hours, by the file's size: how long it plays is not known yet."""
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

    def process(self, item: VideoToJudge, workdir: Path) -> Sequence[FaceScore | Reject] | Reject:
        """Return one row per face; a face that is seen too shortly is a rejected part.

        Raises:
            MediaError: the file cannot be read, or picture or sound do not decode.
        """
        with local_copy(item.location) as path:
            try:
                facts = probe(path)
            except (NotMediaError, EmptyFileError):
                if _claims_video(item):
                    raise
                return Reject("not_media", "no demuxer opens it, and its name claims no video")
            if unfit := self._unfit(facts):
                return unfit
            with tempfile.TemporaryDirectory(dir=workdir, prefix="scratch-") as scratch:
                rows = list(self._judged(path, facts, Path(scratch)))
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

    def _judged(self, path: Path, facts: Probe, scratch: Path) -> Iterator[FaceScore | Reject]:
        samples = facts.num_frames * SAMPLES_PER_FRAME
        sound = decode_audio(path, facts.video_start_s, samples, scratch / "sound.raw")
        for track in [_whole(facts)] if self.cropped else self._tracks(path, facts):
            begin, end = (n * SAMPLES_PER_FRAME for n in (track.start_frame, track.end_frame))
            yield self._row(track, np.array(sound[begin:end]), path, facts)

    def _tracks(self, path: Path, facts: Probe) -> Iterator[FaceTrack]:
        assert self._backend is not None, "setup() was not called"
        shots, _ = find_shots(path, facts, self.scenes)
        gap = round(self.faces.max_gap_seconds * FPS)
        rules = TrackingRules(self.faces.detect_every_frames, gap, float(self.faces.min_face_px))
        return follow_faces(frames_at_25fps(path), shots, self._backend, rules, PIECE_FRAMES)

    def _row(
        self, track: FaceTrack, audio: NDArray[np.int16], path: Path, facts: Probe
    ) -> FaceScore | Reject:
        if len(track.landmarks) < self.min_frames:
            return _reject("track_too_short", track, f"minimum {self.min_frames / FPS:.2f} s")
        try:
            return _score(track, self.choice, self._score(track, audio, path, facts))
        except ValueError as error:
            return _reject("cannot_be_judged", track, str(error))

    def _score(
        self, track: FaceTrack, audio: NDArray[np.int16], path: Path, facts: Probe
    ) -> JudgeResult:
        if self.choice.judge == "landmark":
            found: JudgeResult = self._judge.score(track.landmarks, audio)
            return found
        frames = frames_between(path, facts, track.start_frame, track.end_frame)
        crops = map(as_crop, frames) if self.cropped else self._cut(frames, track)
        seen: JudgeResult = self._judge.score(crops, audio, mode=self.choice.mode)
        return seen

    def _cut(self, frames: Iterator[Frame], track: FaceTrack) -> Iterator[Frame]:
        assert self._backend is not None, "setup() was not called"
        return render_crops(frames, detector_boxes(track.boxes, self._backend.landmark_schema))


def _whole(facts: Probe) -> FaceTrack:
    """Return the whole picture of the whole video as if it were one face."""
    boxes = np.tile(np.array([0, 0, facts.width, facts.height], np.float32), (facts.num_frames, 1))
    return FaceTrack(0, 0, 0, np.zeros((facts.num_frames, 0, 3), np.float32), boxes)


def _claims_video(item: VideoToJudge) -> bool:
    return PurePosixPath(item.name).suffix.lower() in VIDEO_NAMES


def _score(track: FaceTrack, choice: Choice, result: JudgeResult) -> FaceScore:
    return FaceScore(
        face=track.face,
        scene=track.scene,
        start_frame=track.start_frame,
        end_frame=track.end_frame,
        face_px=float(np.median((track.boxes[:, 2:] - track.boxes[:, :2]).max(axis=1))),
        **choice.signed(result),
    )


def _reject(reason: str, track: FaceTrack, detail: str) -> Reject:
    begin_s, end_s = track.start_frame / FPS, track.end_frame / FPS
    return Reject(reason, f"face {track.face}, {begin_s:.2f}-{end_s:.2f} s: {detail}")


def _order(row: FaceScore | Reject) -> tuple[bool, int, int, str]:
    if isinstance(row, Reject):
        return True, 0, 0, row.detail
    return False, row.start_frame, row.face, ""
