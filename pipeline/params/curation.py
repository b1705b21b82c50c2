"""params.yaml, checked as a whole before any work: one model per section, named as the stage."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pipeline.errors import ParamsError
from pipeline.params.bounds import Seed
from pipeline.params.neighbours import AvSyncNetParams, SilentLipParams, StabilizedParams
from pipeline.params.syncdiff import SyncDiffParams
from pipeline.params.training import (
    EvaluateParams,
    FeaturesParams,
    TrainLdmParams,
    TrainSyncnetParams,
)

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DemoParams(_Section):
    """The rendered corpus. Only used while `ingest.source` points at it."""

    seed: Seed = 0
    videos: Annotated[int, Field(ge=1)] | Literal["all"] = "all"


class IngestParams(_Section):
    """Where the videos come from."""

    source: str = "data/demo/videos"
    """A folder, a glob, a sources.jsonl or .csv, or an fsspec URL of one of these."""
    licence: str = ""
    """Licence recorded for files whose list gives none."""


class ScenesParams(_Section):
    """Shot boundaries: PySceneDetect's AdaptiveDetector."""

    adaptive_threshold: Positive = 3.0
    min_content_val: Positive = 15.0
    decode_height: Annotated[int, Field(ge=32, le=1080)] = 96


class FacesParams(_Section):
    """Detection, tracks, alignment, clips."""

    backend: Literal["litert", "insightface"] = "litert"
    insightface_name: str = "buffalo_l"
    insightface_root: str = "~/.insightface"
    crop_px: Literal[256, 512] = 256
    min_seconds: Annotated[float, Field(ge=1.04)] = 3.0
    """At least 11 frames for the judge and 15 for the largest correction."""
    max_seconds: Positive = 10.0
    max_gap_seconds: Annotated[float, Field(ge=0, le=1)] = 1.0
    detect_every_frames: Annotated[int, Field(ge=1)] = 25
    max_damaged_frames: Annotated[int, Field(ge=0, le=25)] = 0
    max_held_frames: Annotated[int, Field(ge=0, le=25)] = 5
    max_interpolated_frames: Annotated[int, Field(ge=0, le=25)] = 5
    """A longer run of torn pictures, of pictures that stand still, or of frames in which the face
    is lost is in no clip; what lies before and behind are clips of their own."""
    min_face_px: Annotated[int, Field(ge=8)] = 32
    """Smaller faces are not tracked at all; `select` has its own, higher limit."""
    smooth_sigma_frames: Annotated[float, Field(ge=0, le=5)] = 2.0
    crf: Annotated[int, Field(ge=0, le=30)] = 14

    @model_validator(mode="after")
    def _lengths(self) -> "FacesParams":
        if self.max_seconds < 2 * self.min_seconds:
            raise ValueError("max_seconds must be at least 2 * min_seconds, or tails get lost")
        return self


class SyncParams(_Section):
    """The judge."""

    judge: Literal["landmark", "syncnet"] = "landmark"
    fallback: Literal["none", "landmark"] = "none"
    """Who scores where SyncNet's weights cannot be fetched: nobody (the run stops), or the bundled
    judge, with the reason in every row."""
    syncnet_weights: str = ""
    """Path of `syncnet_v2.model`; empty: fetched from its official home at first use."""
    syncnet_mode: Literal["reference", "masked"] = "reference"
    """What stands beyond the clip's ends: zeros as in the published judge, or nothing."""
    syncnet_precision: Literal["float32", "bfloat16"] = "float32"


class StretchesParams(_Section):
    """Which seconds of a clip are in sync."""

    foreign_weight: Annotated[float, Field(gt=0, le=0.9)] = 0.042
    """Of a change to foreign sound: more finds more foreign sound and loses more good seconds."""


RECOGNIZERS = r"none|moonshine-tiny-en|whisper:.+"
"""What `quality.recognizer` may be."""


class QualityParams(_Section):
    """Measurements; no threshold of these refuses a clip."""

    vad_threshold: Share = 0.5
    text: Literal["none", "overlay"] = "none"
    """overlay: read text in a few frames of every clip's film (extra `labels`; seconds a clip)."""
    recognizer: Annotated[str, Field(pattern=f"^({RECOGNIZERS})$")] = "none"
    """Of speech: `moonshine-tiny-en`, or `whisper:FOLDER` (extra `transcripts`)."""


class HqParams(_Section):
    """Limits of the tier `hq`, all at least as strict as those of `select`; none refuses a clip."""

    min_face_px: Positive = 200
    min_sharpness: Annotated[float, Field(ge=0)] = 30.0
    min_landmark_score: Share = 0.8
    max_clipped_share: Share = 0.1
    max_yaw_deg: Annotated[float, Field(ge=0, le=90)] = 35.0
    max_pitch_deg: Annotated[float, Field(ge=0, le=90)] = 25.0
    max_jitter: Annotated[float, Field(ge=0)] = 0.05
    min_snr_db: float = 10.0
    min_probability: Share = 0.95
    min_speech_share: Share = 0.5
    max_cover: Share = 0.2
    """Mean certainty over the worst second that the mouth is not visible."""
    max_faulty_frames: Annotated[int, Field(ge=0)] = 0
    """Of the clip: interpolated, damaged or held."""


class SelectParams(_Section):
    """The only thresholds that refuse a clip."""

    min_seconds: Annotated[float, Field(ge=1.04)] = 3.0
    """Of what is left of a clip after its wrong parts are cut out."""
    max_offset_frames: Annotated[int, Field(ge=0, le=15)] = 12
    min_probability: Share = 0.8
    """That a stretch of a clip is in sync at its offset."""
    landmark_min_probability: Share = 0.8
    """Of a whole clip's own offset, landmark judge: from here on a face is taken for the one that
    speaks."""
    syncnet_min_confidence: Annotated[float, Field(ge=0)] = 3.0
    """The same for the SyncNet judge: LSE-C. Source: LatentSync's filter."""
    max_drift_frames: Positive = 2.0
    """Within one stretch."""
    correct_drift: bool = False
    """Take a drift out by resampling the sound, in place of rejecting the stretch."""
    still_change: Annotated[float, Field(ge=0)] = 0.1
    """Levels of luma from one frame to the next; less is the same picture."""
    max_standing_frames: Annotated[int, Field(ge=1)] = 4
    """A longer run of the same picture is cut out, as far as it changes less than `min_change`."""
    min_change: Annotated[float, Field(ge=0)] = 0.25
    """Levels of luma; above `still_change` for a picture that is encoded again."""
    max_frozen_share: Share = 0.5
    """Frames of a part that change less than `min_change`."""
    max_cover: Share = 0.7
    """Certainty that the mouth is not visible."""
    max_covered_frames: Annotated[int, Field(ge=0)] = 4
    max_roll_deg: Annotated[float, Field(ge=0, le=180)] = 40.0
    max_rolled_frames: Annotated[int, Field(ge=0)] = 0
    jump_cuts: Literal["cut", "label"] = "cut"
    """Where a person jumps before an unchanged background: two parts, or one with a label."""
    not_speaking_overlap: Share = 0.5
    """Faces that share more than this share of a clip's time compete for its sound."""
    min_face_px: Positive = 64
    min_sharpness: Annotated[float, Field(ge=0)] = 9.0
    min_luma: Annotated[float, Field(ge=0, le=255)] = 25.0
    max_luma: Annotated[float, Field(ge=0, le=255)] = 235.0
    max_clipped_share: Share = 0.4
    max_yaw_deg: Annotated[float, Field(ge=0, le=90)] = 60.0
    max_pitch_deg: Annotated[float, Field(ge=0, le=90)] = 45.0
    max_jitter: Annotated[float, Field(ge=0)] = 0.1
    min_mouth_movement: Annotated[float, Field(ge=0)] = 0.005
    min_landmark_score: Share = 0.5
    min_speech_share: Share = 0.2
    min_snr_db: float = -5.0
    quiet_max_mouth_movement: Annotated[float, Field(ge=0)] = 0.015
    """Of a silent or listening clip; in distances between the eyes, as `min_mouth_movement`."""
    near_duplicate_bits: Annotated[int, Field(ge=0, le=64)] = 4
    max_clips_per_source: Annotated[int, Field(ge=1)] = 1000
    person_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.35
    """Distance of face embeddings up to which two clips show one person (docs/people.md)."""
    split_by: Literal["auto", "person", "source"] = "auto"
    """person: a person's clips, and a source's, are in one split; source: a source's or a named
    speaker's; auto: by person, but by source where there are too few persons to fill the splits."""
    val_share: Share = 0.1
    test_share: Share = 0.1
    split_seed: Seed = 21
    hq: HqParams = HqParams()

    @model_validator(mode="after")
    def _possible(self) -> "SelectParams":
        if self.val_share + self.test_share > 1:
            raise ValueError("val_share + test_share must not be more than 1")
        if self.min_luma >= self.max_luma:
            raise ValueError("min_luma must be below max_luma")
        return self


class CardParams(_Section):
    """What the data set card says that no table knows."""

    title: Annotated[str, Field(min_length=1)] = "Lip-sync clips, curated by lipforge"
    licence: str = ""
    """Of the set as it is published, an SPDX id say; empty: the card says that none is stated."""
    contact: str = ""
    """Address or URL for people who want to be taken out; empty: the card says that none is."""


class ShardsParams(_Section):
    """WebDataset tars."""

    buckets: Annotated[int, Field(ge=1, le=65536)] = 4
    max_shard_mb: Annotated[int, Field(ge=1)] = 512
    quiet_tiers: bool = True
    """Pack silent and listening clips, apart from the others: data/shards/quiet."""
    card: CardParams = CardParams()


class ReportParams(_Section):
    """The HTML page."""

    accepted_strips: Annotated[int, Field(ge=0)] = 12
    rejected_strips: Annotated[int, Field(ge=0)] = 12
    clips_mb: Annotated[float, Field(ge=0, le=200)] = 6.0
    """Megabytes of the page that its films may take; those beyond are named and not played."""


class RunParams(_Section):
    """When a run as a whole has failed."""

    max_failed_fraction: Share = 0.25


class Params(_Section):
    """All of params.yaml."""

    demo: DemoParams = DemoParams()
    ingest: IngestParams = IngestParams()
    scenes: ScenesParams = ScenesParams()
    faces: FacesParams = FacesParams()
    sync: SyncParams = SyncParams()
    stretches: StretchesParams = StretchesParams()
    quality: QualityParams = QualityParams()
    select: SelectParams = SelectParams()
    shards: ShardsParams = ShardsParams()
    report: ReportParams = ReportParams()
    features: FeaturesParams = FeaturesParams()
    train_syncnet: TrainSyncnetParams = TrainSyncnetParams()
    train_ldm: TrainLdmParams = TrainLdmParams()
    avsyncnet: AvSyncNetParams = AvSyncNetParams()
    silent_lip: SilentLipParams = SilentLipParams()
    stabilized: StabilizedParams = StabilizedParams()
    syncdiff: SyncDiffParams = SyncDiffParams()
    evaluate: EvaluateParams = EvaluateParams()
    run: RunParams = RunParams()


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the whole file.

    Raises:
        ParamsError: no such file, no YAML, unknown key, wrong type or impossible value; the
            message names file and key and says what is allowed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: no such file; run from the project's folder") from error
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not YAML: {error}") from error
    try:
        return Params.model_validate(document or {})
    except ValidationError as error:
        raise ParamsError(_explain(path, error)) from error


def _explain(path: Path, error: ValidationError) -> str:
    return "\n".join(_explain_one(path, problem) for problem in error.errors())


def _explain_one(path: Path, problem: ErrorDetails) -> str:
    parts = [str(part) for part in problem["loc"]]
    key = ".".join(parts)
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key}: unknown key; known here: {', '.join(_known(parts[:-1]))}"
    together = problem["type"] == "value_error" and isinstance(problem["input"], dict)
    found = "" if together else f" (is {problem['input']!r})"  # else the whole section
    return f"{path}: {key}: {problem['msg']}{found}"


def _known(section: list[str]) -> list[str]:
    model: type[BaseModel] = Params
    for part in section:
        if part not in model.model_fields:  # the name of a profile
            continue
        found = model.model_fields[part].annotation
        inner = get_args(found)[-1] if get_args(found) else found
        assert isinstance(inner, type), part
        assert issubclass(inner, BaseModel), part
        model = inner
    return sorted(model.model_fields)
