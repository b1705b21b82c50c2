"""Any video and any sound -> the video whose lips follow the sound."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from pipeline.atomic import replacing
from pipeline.digest import canonical_json, file_sha256
from pipeline.errors import MediaError, ParamsError, SourceError, WeightsError
from pipeline.faces.backend import Frame
from pipeline.faces.open import open_backend, weights_of
from pipeline.faces.tracking import TrackingRules
from pipeline.media.audio import decode_audio
from pipeline.media.encode import write_clip
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import Probe, probe
from pipeline.media.shots import find_shots
from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME
from trainers.dubbing.choosing import choose
from trainers.dubbing.face_tracks import FaceTrace, trace_faces
from trainers.dubbing.finished_parts import Parts, only_one
from trainers.dubbing.generate import DubOptions, LdmPainter, Painter
from trainers.dubbing.join import check_suffix, join
from trainers.dubbing.options import Dubbed, VideoOptions
from trainers.dubbing.sound import COPIED, SoundFacts, SoundTrack, read_sound, same_samples
from trainers.dubbing.source import Pictures
from trainers.dubbing.stream import Film, dubbed_frames
from trainers.dubbing.timeline import Run, Timeline, runs_of, timeline_of
from trainers.systems.latentsync.bundle import LdmBundle

VERSION = 1
"""Of what this package does with the same input: parts of another version are not used."""
GOP = 50
CROPS_PX = (256, 512)
"""Sizes that `pipeline.faces.alignment` cuts; a smaller model gets faces of the first, scaled."""

PainterOf = Callable[[LdmBundle, Any, DubOptions], Painter]
Progress = Callable[[int, int], None]
"""Called with the frames that are done and all frames."""


def dub_video(
    video: Path,
    audio: Path,
    out: Path,
    bundle: LdmBundle,
    options: VideoOptions | None = None,
    *,
    progress: Progress = lambda done, total: None,
    painter_of: PainterOf = LdmPainter,
) -> Dubbed:
    """Write `out`: the video at 25 fps, the chosen faces speaking the sound, and the sound.

    An interrupted run goes on where it stopped, with the same bytes.

    Raises:
        SourceError: video or sound cannot be used, the video has no face, or not the chosen one.
        ParamsError: the output's name ends in neither .mp4 nor .mkv, or it is an input or a
            folder, or the windows cannot overlap that much.
        WeightsError: a model file of the face networks is absent, or the model is for other faces.
        StorageError: the disk is full or not writable, or another run is making the same file.
    """
    check_suffix(out)
    _refuse_overwriting(out, video, audio)
    _check_model((options or VideoOptions()).dub, bundle)
    options = _for_model(options or VideoOptions(), bundle)
    with naming(video):
        facts = probe_video(video)
    with naming(audio):
        sound = read_sound(audio)
    cv2.setNumThreads(1)
    with only_one(out):
        parts = Parts(out, _facts(video, audio, bundle, options))
        job = _Job(video, audio, out, bundle, options, facts, sound, parts, progress, painter_of)
        try:
            dubbed = job.run()
        except SourceError:  # it would come again: nothing to go on with
            parts.remove()
            raise
        parts.remove()
    return dubbed


def find_faces(video: Path, options: VideoOptions) -> list[FaceTrace]:
    """Return every face of a video, without dubbing it.

    Raises:
        SourceError: the video cannot be used.
        WeightsError: a model file of the face networks is absent.
    """
    with naming(video):
        return _traces(video, probe_video(video), options)


@dataclass(frozen=True, slots=True)
class _Job:
    video: Path
    audio: Path
    out: Path
    bundle: LdmBundle
    options: VideoOptions
    facts: Probe
    sound: SoundFacts
    parts: Parts
    progress: Progress
    painter_of: PainterOf

    def run(self) -> Dubbed:
        with naming(self.video):
            faces = self.parts.faces(lambda: _traces(self.video, self.facts, self.options))
        chosen = _chosen(self.video, faces, self.options)
        timeline = timeline_of(
            self.facts.num_frames, self.sound.seconds, self.options.longer, self.options.shorter
        )
        runs = runs_of(timeline, chosen)
        if not runs:
            raise SourceError(f"{self.video}: no chosen face is to be seen while the sound plays")
        resumed = self._paint(timeline, chosen, runs)
        track = self._join(timeline)
        return Dubbed(
            num_frames=timeline.num_frames,
            painted_frames=len({f for run in runs for f in range(run.start, run.end)}),
            resumed_frames=resumed,
            faces=faces,
            chosen=chosen,
            sound_codec=track.codec,
            sound_copied=track.copy,
            sound_exact=track.exact,
        )

    @property
    def _part_frames(self) -> int:
        return max(1, round(self.options.part_seconds * FPS))

    def _paint(self, timeline: Timeline, chosen: Sequence[FaceTrace], runs: Sequence[Run]) -> int:
        """Make the parts that are missing; return how many frames there were already."""
        total = timeline.num_frames
        resumed = min(self.parts.done() * self._part_frames, total)
        self.progress(resumed, total)
        if resumed == total:
            return resumed
        film = self._film(timeline, chosen, runs)
        with naming(self.video):
            frames = map(_even, dubbed_frames(film, resumed))
            for start in range(resumed, total, self._part_frames):
                length = min(self._part_frames, total - start)
                with replacing(self.parts.part(start // self._part_frames)) as path:
                    write_clip(path, islice(frames, length), self.options.crf, 1, GOP)
                self.progress(start + length, total)
        return resumed

    def _film(self, timeline: Timeline, chosen: Sequence[FaceTrace], runs: Sequence[Run]) -> Film:
        length = timeline.num_frames * SAMPLES_PER_FRAME
        with naming(self.audio):
            heard = decode_audio(
                self.audio, self.sound.start_s, length, self.parts.folder / "sound.raw"
            )
        sigma, crop_px = (
            self.options.face_params.smooth_sigma_frames,
            self.options.face_params.crop_px,
        )
        return Film(
            pictures=Pictures(self.video, self.facts),
            runs=runs,
            matrices={
                one.number: (one.start_frame, one.matrices(sigma, crop_px)) for one in chosen
            },
            painter=self.painter_of(self.bundle, heard, self.options.dub),
            crop_px=crop_px,
            overlap_frames=self.options.dub.overlap_frames,
            sources=timeline.sources(),
        )

    def _join(self, timeline: Timeline) -> SoundTrack:
        ends = range(0, timeline.num_frames, self._part_frames)
        clips = [(start, self.parts.part(number)) for number, start in enumerate(ends)]
        samples = int(Fraction(timeline.num_frames, FPS) * self.sound.rate_hz)
        comment = canonical_json(_statement(self.bundle, self.options))
        with naming(self.audio), replacing(self.out) as path:
            for copy in (True, False):
                if copy and self.sound.codec not in COPIED:
                    continue
                track = SoundTrack(self.audio, self.sound, samples, copy)
                try:
                    join(path, self.out.suffix, clips, track, comment)
                except MediaError:  # mp4 takes no MP3 of 8 kHz, say
                    if copy:
                        continue
                    raise
                if not copy or same_samples(self.audio, path, min(samples, self.sound.samples)):
                    break
        return track


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say in a media error which file it is about.

    Raises:
        SourceError: instead of MediaError.
    """
    try:
        yield
    except MediaError as error:
        raise SourceError(f"{path}: {error}") from error


def probe_video(path: Path) -> Probe:
    """Measure a file that must have pictures.

    Raises:
        MediaError: as `probe`, or it holds no picture.
    """
    facts = probe(path)
    if not facts.video_codec:
        raise MediaError("the file has no video stream")
    return facts


def stand_ins(bundle: LdmBundle) -> list[str]:
    """Return role=name of every stand-in: a model that has one is a trial, not for use."""
    named = {role: name for role, name in bundle.facts.items() if isinstance(name, str)}
    named |= {"vae": bundle.vae.name, "whisper": bundle.whisper.name}
    return [
        f"{role}={name}" for role, name in sorted(named.items()) if name.startswith("stand-in:")
    ]


def _refuse_overwriting(out: Path, *inputs: Path) -> None:
    if out.is_dir():
        raise ParamsError(f"{out}: this is a folder; give the name of a file")
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise ParamsError(f"{out}: the output is the input; give another name")


def _check_model(options: DubOptions, bundle: LdmBundle) -> None:
    if bundle.resolution_px > CROPS_PX[0] and bundle.resolution_px not in CROPS_PX:
        raise WeightsError(
            f"a model for faces of {bundle.resolution_px} px cannot dub videos: it must be "
            f"{CROPS_PX[1]} px or at most {CROPS_PX[0]}"
        )
    if not 0 <= options.overlap_frames <= bundle.frames // 2:
        raise ParamsError(
            f"--overlap {options.overlap_frames}: windows of this model have {bundle.frames} "
            f"frames; give 0 to {bundle.frames // 2}"
        )


def _for_model(options: VideoOptions, bundle: LdmBundle) -> VideoOptions:
    px = max(bundle.resolution_px, CROPS_PX[0])
    return replace(options, face_params=options.face_params.model_copy(update={"crop_px": px}))


def _traces(video: Path, facts: Probe, options: VideoOptions) -> list[FaceTrace]:
    shots, _ = find_shots(video, facts, options.scene_params)
    rules = TrackingRules.of(options.face_params)
    return trace_faces(frames_at_25fps(video), shots, open_backend(options.face_params), rules)


def _chosen(video: Path, faces: Sequence[FaceTrace], options: VideoOptions) -> list[FaceTrace]:
    if not faces:
        raise SourceError(
            f"{video}: no face of at least {options.face_params.min_face_px} px in any frame; "
            "give another video, or lower faces.min_face_px in params.yaml"
        )
    return choose(faces, options.faces)


def _facts(video: Path, audio: Path, bundle: LdmBundle, options: VideoOptions) -> dict[str, Any]:
    """Return all that decides the bytes of the output."""
    return {
        "version": VERSION,
        "video": file_sha256(video),
        "audio": file_sha256(audio),
        "model": bundle.facts,
        "options": options.facts(),
        "face_params": options.face_params.model_dump(exclude={"insightface_root"}),
        "scene_params": options.scene_params.model_dump(),
        "face_weights": dict(weights_of(options.face_params)),
        "device": next(bundle.unet.parameters()).device.type,
        "torch": torch.__version__,
    }


def _statement(bundle: LdmBundle, options: VideoOptions) -> dict[str, Any]:
    """Return what the output says about itself; who gets the file learns of no folder of ours."""
    facts = {key: value for key, value in bundle.facts.items() if key != "profile"}
    model = {key: _without_folder(value) for key, value in facts.items()}
    return {
        "lipforge_dub": VERSION,
        "notice": "the mouths in this video are made by a model",
        "model": model,
        "stand_ins": stand_ins(bundle),
        "options": options.facts(),
    }


def _without_folder(value: Any) -> Any:
    """Return a part's name without the folder it was read from."""
    return Path(value).name if isinstance(value, str) else value


def _even(picture: Frame) -> Frame:
    """Repeat the last row or column of a picture of odd size, which H.264 cannot hold."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
