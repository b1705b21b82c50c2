"""The row type of every table. Scalars and short lists only; the unit is in the name.

Frames are frames of the 25 fps grid whose frame 0 is the first video frame's presentation time;
audio sample n of a video lies at n / 16000 s on the same clock. AV offset: positive = audio early
(SyncNet's sign), in frames at 25 fps.
"""

from dataclasses import dataclass, field

FPS = 25
"""Frames per second of every table, clip and shard."""
SAMPLE_RATE_HZ = 16_000
"""Sampling rate of all audio after decoding."""
BASE, HQ = "base", "hq"
"""Tiers of what is selected; an hq clip is a base clip, too."""
SILENT, LISTENING = "silent", "listening"
QUIET_TIERS = (SILENT, LISTENING)
"""Tiers of what is rejected for that and packed apart."""
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
"""640 audio samples belong to one video frame."""


def counted_tiers(tier: str) -> tuple[str, ...]:
    """Return the tiers that a clip counts for: of hq for base, too; without a tier for none."""
    if not tier:
        return ()
    return (BASE, HQ) if tier == HQ else (tier,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One source file. Written by `ingest`."""

    video_id: str
    """SHA-256 of the bytes, hex."""
    uri: str
    """Path below the source root (`/` between parts), or the URL as listed."""
    size_bytes: int
    licence: str = ""
    speaker: str = ""
    language: str = ""
    url: str = ""
    container: str = ""
    duration_s: float = 0.0
    """Presentation time from the first video frame to the end of the last."""
    num_frames: int = 0
    """Frames on the 25 fps grid, from `duration_s`."""
    average_fps: float = 0.0
    real_fps: float = 0.0
    """Most common frame rate: one over the median gap between presentation times."""
    variable_fps: bool = False
    width: int = 0
    """Displayed width in pixels, rotation applied."""
    height: int = 0
    rotation_deg: int = 0
    video_codec: str = ""
    pixel_format: str = ""
    audio_codec: str = ""
    audio_rate_hz: int = 0
    audio_channels: int = 0
    video_start_s: float = 0.0
    audio_start_s: float = 0.0
    video_tracks: int = 0
    """Tracks of moving pictures; cover art is none."""
    video_track: int = 0
    """Number of the one that is used, from 1; 0 = none."""
    audio_tracks: int = 0
    audio_track: int = 0
    clock_restarts_s: list[float] = field(default_factory=list)
    """Where the timestamps of the file jump to another clock, in s behind the first frame: the
    recordings on both sides are joined, picture and sound by the same amount."""
    suspect_packets: int = 0
    """Packets of the picture that the container marks as damaged, or (H.264) before which a
    reference picture is missing. What else does not decode is known where it is decoded."""
    remarks: list[str] = field(default_factory=list)
    """What else is in the file, or odd about it, in plain words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One shot: frames [start_frame, end_frame). Written by `scenes`.

    A dissolve or a fade between two shots is a rejected row.
    """

    video_id: str
    scene: int
    """Number of the shot in its video; -1 for a dissolve or a fade."""
    start_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One face in one shot, aligned. Written by `faces`; files `<clip_id>.mp4/.flac/.npz`."""

    clip_id: str
    video_id: str
    scene: int
    track: int
    start_frame: int
    end_frame: int
    num_frames: int
    backend: str
    """`litert` or `insightface`."""
    landmark_schema: str
    """`mesh468` (x, y, z) or `insightface106` (x, y, 0)."""
    crop_px: int
    face_px: float
    """Median of the longer side of the face box, in source pixels."""
    landmark_score: float
    """Mean confidence of the landmark model, 0 to 1, over the frames it really ran on."""
    interpolated_frames: int
    """Frames in which the face was lost and its landmarks were interpolated."""
    damaged_frames: int = 0
    """Frames whose picture is torn or may be."""
    held_frames: int = 0
    """Frames that show an older picture again: the film stands still."""
    num_faces_in_scene: int
    """Tracks in the same shot that overlap this clip in time, itself included."""
    artifact: str = ""
    """Cache key under which the three files lie. Filled in by the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncScore:
    """Audio-visual sync of one clip. Written by `sync`; joins to Clip by clip_id."""

    clip_id: str
    judge: str
    """`landmark` or `syncnet`: whose numbers these are. They are never interchangeable."""
    mode: str
    """Pairs whose sound lies outside of the clip: `masked` out, or `reference` = compared with
    zeros, as the published SyncNet does."""
    fallback: str = ""
    """Why the judge that params.yaml asks for was not used; empty when it was."""
    offset_frames: int
    """Audio lead in frames at 25 fps: +3 = audio 3 frames early, -3 = late (SyncNet's sign)."""
    offset_subframe: float
    """The same from a parabola through the three lowest points of the curve."""
    confidence: float
    """Median minus minimum of the mean distance over offsets, >= 0; SyncNet's is LSE-C."""
    min_distance: float
    """Minimum of the mean distance over offsets; SyncNet's is LSE-D."""
    probability: float | None = None
    """Calibrated probability that the offset is right within one frame; None where the judge has
    no calibration."""
    drift_frames: float | None = None
    """By how much the offset changes from the clip's beginning to its end; None where the clip
    is too short or too unsure to tell."""
    curve: list[float] = field(default_factory=list)
    """Mean distance at offsets -15 ... +15."""
    artifact: str = ""
    """Cache key of `<clip_id>.npz` with `distances` (windows x 31), one row per window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What can be measured of a clip besides sync. Written by `quality`; decides nothing."""

    clip_id: str
    face_px: float
    sharpness: float
    """Variance of the Laplacian of the crop's luma (0-255), median over sampled frames."""
    luma_mean: float
    """Mean luma of the face, 0 to 255."""
    clipped_share: float
    """Share of face pixels at the black or white end of luma."""
    yaw_deg: float
    """95th percentile of |yaw| over the clip; 0 looks into the camera."""
    pitch_deg: float
    roll_deg: float
    jitter: float
    """RMS second difference of the rigid landmarks, divided by the distance between the eyes."""
    frozen_share: float
    """Share of frames equal to the one before."""
    mouth_movement: float
    """Standard deviation of the lip opening, divided by the distance between the eyes."""
    landmark_score: float
    speech_share: float
    """Share of time that Silero VAD takes for speech."""
    snr_db: float
    """Speech power over the power of the rest, in dB; 0 when there is no speech."""
    picture_hash: str
    """Perceptual hash of the clip, 16 hex digits: near-duplicates differ in few bits."""
    audio_hash: str
    """Fingerprint of the loudness contour, 16 hex digits."""
    faces_seen_median: float = 0.0
    """Faces in the picture on the clip's frames, this one included, as `faces` tracks them."""
    faces_seen_max: int = 0
    jump_cuts: list[int] = field(default_factory=list)
    """Frames of the clip before which frames are missing: the same person jumps, the background
    stays."""
    text_overlay_share: float | None = None
    """Share of the frames that were read on which text lies over the picture; this and the other
    fields on text are None unless `quality.text` asks for them."""
    text_still_share: float | None = None
    """Share of them on which text stays in a picture that stands: an overlay or a sign."""
    text_crop_share: float | None = None
    """Mean share of the crop's area that lies under overlays."""
    text_on_mouth: bool | None = None
    """Whether an overlay touches the lower face: nose tip to chin."""
    language: str | None = None
    """Spoken language, as a Whisper model hears it; this and the next three are None unless
    `quality.recognizer` names a recognizer, and language where that knows English alone."""
    language_probability: float | None = None
    transcript: str | None = None
    """What is said in the whole clip; empty where nobody speaks."""
    transcript_confidence: float | None = None
    """Geometric mean of the probabilities of the transcript's tokens, 0 to 1."""
    roll_by_frame: list[float] = field(default_factory=list)
    """Roll in degrees, positive = clockwise. This and the other series have one value per frame of
    the clip, to 3 significant digits: what is wrong in a part of a clip."""
    change_by_frame: list[float] = field(default_factory=list)
    """Difference from the frame before in levels of luma (0-255); about 0 = the same picture. Frame
    0 has the value of frame 1."""
    cover_by_frame: list[float] = field(default_factory=list)
    """How sure it is that the mouth is not visible, 0 to 1: covered, or outside of the picture."""
    speech_by_frame: list[float] = field(default_factory=list)
    """Share of the frame's 40 ms that is speech, 0 to 1."""
    face_embedding: list[float] = field(default_factory=list)
    """128 numbers: clips of one person lie close together (docs/people.md). This and the next stay
    in the table: they are biometric and no part of a sample."""
    voice_embedding: list[float] = field(default_factory=list)
    """256 numbers, length 1; empty where there is no speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStretch:
    """Part of a clip in one state of sync. Written by `stretches`; joins to Clip by clip_id.

    The stretches of a clip cover it without gap.
    """

    clip_id: str
    video_id: str
    start_frame: int
    """Of the film's grid, as Clip's."""
    end_frame: int
    kind: str
    """`in_sync` at `offset_frames`, or `foreign`: the sound is not that of this face."""
    offset_frames: float
    """Audio lead in frames at 25 fps at the stretch's middle, with sub-frame precision; 0 where it
    is foreign."""
    drift_frames: float
    """Change of the offset from the stretch's beginning to its end."""
    probability: float
    """That the stretch is in sync at `offset_frames` within one frame; what the other clips of the
    film say is part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A clip or a part of one with its split, or the reason it has none. Written by `select`.

    The parts of a clip cover it without gap.
    """

    clip_id: str
    """Name of the sample: the clip's own where the whole clip is taken."""
    source_clip_id: str
    """The clip of `faces` that this is a part of."""
    video_id: str
    split: str
    """`train`, `val` or `test`; empty for what is rejected, unless it has a quiet tier."""
    tier: str = ""
    """`base` or `hq` of what is selected; `silent` or `listening` of what is rejected for that and
    packed apart; else empty."""
    group: str
    """What the split was drawn by: `speaker:<name>`, `source:<video_id>`, or `person:<name>` for
    several sources of one person."""
    person: str = ""
    """Who is to be seen: a hash of this person's first clip_id; empty where that is unknown."""
    start_frame: int
    """Of the film's grid, as Clip's."""
    end_frame: int
    offset_frames: float
    """Offset to be corrected by `shards`, with sub-frame precision."""
    drift_frames: float
    """Change of the offset over the part that `shards` takes out by resampling; 0 unless
    `select.correct_drift` asks for it."""
    probability: float
    """That the part is in sync at this offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample inside a shard. Written by `shards`."""

    clip_id: str
    source_clip_id: str
    video_id: str
    start_frame: int
    """First frame of the sample's picture, of the film's grid."""
    end_frame: int
    split: str
    tier: str = ""
    """`base` or `hq`."""
    shard: str
    num_frames: int
    offset_applied_frames: float
    rescored_offset_frames: float
    """What the landmark judge says after the correction, with sub-frame precision, whichever judge
    said what to correct."""
    rescored_confidence: float
    """The landmark judge's."""
    artifact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietSample:
    """One silent or listening clip inside a tar of data/shards/quiet. Written by `shards`.

    Its sound is as it was: what offset it has cannot be judged.
    """

    clip_id: str
    source_clip_id: str
    video_id: str
    start_frame: int
    """First frame of the picture, of the film's grid."""
    end_frame: int
    split: str
    tier: str
    """`silent` or `listening`."""
    shard: str
    """Name of its tar below data/shards/quiet."""
    num_frames: int
    artifact: str = ""
