"""Any video and any sound -> the video lip-synced to the sound."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from pipeline.atomic import replacing
from pipeline.digest import canonical_json
from pipeline.errors import MediaError, ParamsError, SourceError, WeightsError
from pipeline.faces.backend import Frame
from pipeline.faces.open import open_backend
from pipeline.faces.tracking import TrackingRules
from pipeline.media.audio import decode_audio
from pipeline.media.encode import write_clip
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import Probe, probe
from pipeline.media.shots import find_shots
from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME
from trainers.dubbing.alignment_tracks import AlignmentTrack, track_faces
from trainers.dubbing.face_selection import select_faces
from trainers.dubbing.frame_renderer import FrameRendering, RenderPlan
from trainers.dubbing.frame_source import FrameSource
from trainers.dubbing.muxing import check_suffix, mux
from trainers.dubbing.paste import soft_mask
from trainers.dubbing.provenance import output_key, output_metadata
from trainers.dubbing.segment_store import SegmentStore, output_lock
from trainers.dubbing.sound_track import COPIED, SoundFacts, SoundTrack, read_sound, same_samples
from trainers.dubbing.timeline import FaceInterval, Timeline, face_intervals, timeline_of
from trainers.dubbing.video_options import DubResult, VideoOptions
from trainers.talking_face.model import DubOptions, FaceGenerator, Samples, TalkingFaceModel

GOP = 50
CROPS_PX = (256, 512)
"""Crop sizes of `pipeline.faces.alignment`; a smaller model gets scaled faces of the first."""

GeneratorOf = Callable[[TalkingFaceModel, Samples, DubOptions], FaceGenerator]
Progress = Callable[[str, int, int], None]
"""Called with the phase (`shots`, `faces`, `dub`), its number of finished frames, and of all."""


def dub_video(
    video: Path,
    audio: Path,
    out: Path,
    model: TalkingFaceModel,
    options: VideoOptions | None = None,
    *,
    progress: Progress = lambda phase, done, total: None,
    generator_of: GeneratorOf = lambda model, audio_N, options: model.generator(audio_N, options),
) -> DubResult:
    """Write `out`: the video at 25 fps, the selected faces lip-synced to the sound, and the sound.

    An interrupted run resumes where it stopped, with the same bytes.

    Raises:
        SourceError: video or sound cannot be used, the video has no face, or not the selected one.
        ParamsError: the output's name ends in neither .mp4 nor .mkv, or it is an input or a
            folder, or the windows cannot overlap that much.
        WeightsError: a model file of the face networks is absent, or the resolution of the model is
            not supported.
        StorageError: the disk is full or not writable, or another run writes the same file.
    """
    check_suffix(out)
    _refuse_overwriting(out, video, audio)
    _check_model((options or VideoOptions()).dub, model)
    options = _for_model(options or VideoOptions(), model)
    with naming(video):
        facts = probe_video(video)
    with naming(audio):
        sound = read_sound(audio)
    cv2.setNumThreads(1)
    with output_lock(out):
        segments = SegmentStore(out, output_key(video, audio, model, options))
        job = _Job(
            video, audio, out, model, options, facts, sound, segments, progress, generator_of
        )
        try:
            dubbed = job.run()
        except SourceError:  # a resume would fail again
            segments.remove()
            raise
        segments.remove()
    return dubbed


def find_faces(video: Path, options: VideoOptions) -> list[AlignmentTrack]:
    """Return the tracks of all faces of a video, without dubbing it.

    Raises:
        SourceError: the video cannot be used.
        WeightsError: a model file of the face networks is absent.
    """
    with naming(video):
        return _tracks(video, probe_video(video), options, lambda phase, done, total: None)


@dataclass(frozen=True, slots=True)
class _Job:
    video: Path
    audio: Path
    out: Path
    model: TalkingFaceModel
    options: VideoOptions
    facts: Probe
    sound: SoundFacts
    segments: SegmentStore
    progress: Progress
    generator_of: GeneratorOf

    def run(self) -> DubResult:
        with naming(self.video):
            faces = self.segments.tracks(
                lambda: _tracks(self.video, self.facts, self.options, self.progress)
            )
        selected = _selected(self.video, faces, self.options)
        timeline = timeline_of(
            self.facts.num_frames, self.sound.seconds, self.options.longer, self.options.shorter
        )
        intervals = face_intervals(timeline, selected)
        if not intervals:
            raise SourceError(f"{self.video}: no chosen face is to be seen while the sound plays")
        resumed = self._render(timeline, selected, intervals)
        track = self._mux(timeline)
        return DubResult(
            num_frames=timeline.num_frames,
            dubbed_frames=len({f for one in intervals for f in range(one.start, one.end)}),
            resumed_frames=resumed,
            faces=faces,
            selected=selected,
            sound_codec=track.codec,
            sound_copied=track.copy,
            sound_exact=track.exact,
            sound_clipped=track.clipped,
        )

    @property
    def _segment_frames(self) -> int:
        return max(1, round(self.options.part_seconds * FPS))

    def _render(
        self,
        timeline: Timeline,
        selected: Sequence[AlignmentTrack],
        intervals: Sequence[FaceInterval],
    ) -> int:
        """Write the missing segments; return how many frames existed already."""
        total = timeline.num_frames
        resumed = min(self.segments.num_finished() * self._segment_frames, total)
        self.progress("dub", resumed, total)
        if resumed == total:
            return resumed
        plan = self._plan(timeline, selected, intervals)
        rendering = FrameRendering(plan, resumed, self.segments.states())
        with naming(self.video):
            rendered = counted(rendering.frames(), "dub", resumed, total, self.progress)
            frames = map(_even, rendered)
            for start in range(resumed, total, self._segment_frames):
                length = min(self._segment_frames, total - start)
                number = start // self._segment_frames
                with replacing(self.segments.segment(number)) as path:
                    write_clip(path, islice(frames, length), self.options.crf, 1, GOP)
                    self.segments.save_states(number, rendering.states())
                self.segments.drop_states(number - 1)
        return resumed

    def _plan(
        self,
        timeline: Timeline,
        selected: Sequence[AlignmentTrack],
        intervals: Sequence[FaceInterval],
    ) -> RenderPlan:
        length = timeline.num_frames * SAMPLES_PER_FRAME
        with naming(self.audio):
            samples = decode_audio(
                self.audio, self.sound.start_s, length, self.segments.folder / "sound.raw"
            )
        sigma, crop_px = (
            self.options.face_params.smooth_sigma_frames,
            self.options.face_params.crop_px,
        )
        return RenderPlan(
            source=FrameSource(self.video, self.facts),
            intervals=intervals,
            matrices={
                one.number: (one.start_frame, one.matrices(sigma, crop_px)) for one in selected
            },
            generator=self.generator_of(self.model, samples, self.options.dub),
            soft_mask=soft_mask(self.model.keep_mask(crop_px)),
            crop_px=crop_px,
            overlap_frames=self.options.dub.overlap_frames,
            reference=self.options.dub.reference,
            source_frames=timeline.sources(),
        )

    def _mux(self, timeline: Timeline) -> SoundTrack:
        starts = range(0, timeline.num_frames, self._segment_frames)
        segments = [(start, self.segments.segment(number)) for number, start in enumerate(starts)]
        samples = int(Fraction(timeline.num_frames, FPS) * self.sound.rate_hz)
        with naming(self.audio), replacing(self.out) as path:
            for copy in (True, False):
                if copy and self.sound.codec not in COPIED:
                    continue
                track = SoundTrack(self.audio, self.sound, samples, copy)
                facts = output_metadata(self.model, self.options, track.clipped)
                try:
                    mux(path, self.out.suffix, segments, track, canonical_json(facts))
                except MediaError:  # e.g. mp4 does not support MP3 of 8 kHz
                    if copy:
                        continue
                    raise
                if not copy or same_samples(self.audio, path, min(samples, self.sound.samples)):
                    break
        return track


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the name of the file to a media error.

    Raises:
        SourceError: instead of MediaError.
    """
    try:
        yield
    except MediaError as error:
        raise SourceError(f"{path}: {error}") from error


def probe_video(path: Path) -> Probe:
    """Probe a file that must have a video stream.

    Raises:
        MediaError: as `probe`, or it has none.
    """
    facts = probe(path)
    if not facts.video_codec:
        raise MediaError("the file has no video stream")
    return facts


def _refuse_overwriting(out: Path, *inputs: Path) -> None:
    if out.is_dir():
        raise ParamsError(f"{out}: this is a folder; give the name of a file")
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise ParamsError(f"{out}: the output is the input; give another name")


def _check_model(options: DubOptions, model: TalkingFaceModel) -> None:
    if model.size_px > CROPS_PX[0] and model.size_px not in CROPS_PX:
        raise WeightsError(
            f"a model for faces of {model.size_px} px cannot dub videos: it must be "
            f"{CROPS_PX[1]} px or at most {CROPS_PX[0]}"
        )
    if not 0 <= options.overlap_frames <= model.max_overlap_frames:
        raise ParamsError(
            f"--overlap {options.overlap_frames}: windows of this model have {model.frames} "
            f"frames; give 0 to {model.max_overlap_frames}"
        )


def _for_model(options: VideoOptions, model: TalkingFaceModel) -> VideoOptions:
    px = max(model.size_px, CROPS_PX[0])
    return replace(options, face_params=options.face_params.model_copy(update={"crop_px": px}))


def _tracks(
    video: Path, facts: Probe, options: VideoOptions, progress: Progress
) -> list[AlignmentTrack]:
    progress("shots", 0, facts.num_frames)
    shots = find_shots(video, options.scene_params)
    rules = TrackingRules.of(options.face_params)
    frames = counted(frames_at_25fps(video), "faces", 0, facts.num_frames, progress)
    return track_faces(frames, shots, open_backend(options.face_params), rules)


def counted(
    frames: Iterator[Frame], phase: str, done: int, total: int, progress: Progress
) -> Iterator[Frame]:
    """Report every frame that is there, and yield it."""
    for number, frame in enumerate(frames, start=done + 1):
        progress(phase, number, total)
        yield frame


def _selected(
    video: Path, faces: Sequence[AlignmentTrack], options: VideoOptions
) -> list[AlignmentTrack]:
    if not faces:
        raise SourceError(
            f"{video}: no face of at least {options.face_params.min_face_px} px in any frame; "
            "give another video, or lower faces.min_face_px in params.yaml"
        )
    return select_faces(faces, options.faces)


def _even(image: Frame) -> Frame:
    """Repeat the last row or column of a frame of odd size, which H.264 does not support."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
