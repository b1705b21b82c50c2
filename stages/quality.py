"""clips -> quality: picture, head, mouth and speech of every clip. Measures, decides nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.manifest import read_rows
from pipeline.engine.stage import Reject
from pipeline.faces.schemas import schema_named
from pipeline.media.clip_reader import read_arrays, read_audio
from pipeline.params.curation import QualityParams, load_params
from pipeline.quality import hashes, landmarks, picture, pose, speech
from pipeline.tables.clip_files import ClipFiles, ClipStage
from pipeline.tables.funnel import table_path
from pipeline.tables.rows import Clip, Quality

CLIPS = table_path(DATA, "faces")
TABLE = table_path(DATA, "quality")


class QualityStage(ClipStage[Quality]):
    """One clip becomes one row of measurements; no clip is ever rejected here."""

    name: ClassVar[str] = "quality"
    version: ClassVar[str] = "1"

    def __init__(self, params: QualityParams) -> None:
        self.params = params

    def cache_params(self) -> Mapping[str, Any]:
        """Return the section's values."""
        return self.params.model_dump()

    def weights(self) -> Mapping[str, str]:
        """Return the digest of Silero VAD's model file."""
        return {speech.WEIGHTS: speech.weights_digest()}

    def setup(self) -> None:
        """Load Silero VAD and keep OpenCV on one thread."""
        cv2.setNumThreads(1)
        self._detector = speech.SpeechDetector()

    def process(self, item: ClipFiles, workdir: Path) -> Sequence[Quality | Reject]:
        """Measure one clip.

        Raises:
            DecodeError: one of the three files does not decode or does not fit the others.
        """
        arrays = _read_arrays(item)
        measured = {
            **_measure_landmarks(item, arrays),
            **_measure_picture(item, arrays),
            **self._measure_audio(read_audio(item.audio)),
        }
        return [Quality(clip_id=item.clip.clip_id, face_px=item.clip.face_px, **measured)]

    def _measure_audio(self, audio_N: npt.NDArray[np.float32]) -> dict[str, Any]:
        probabilities_W = self._detector.probabilities(audio_N)
        speech_W = speech.speech_windows(probabilities_W, self.params.vad_threshold)
        return {
            "speech_share": float(speech_W.mean()),
            "snr_db": speech.snr_db(audio_N, speech_W),
            "audio_hash": hashes.audio_hash(audio_N),
        }


def _measure_landmarks(item: ClipFiles, arrays: Mapping[str, Any]) -> dict[str, Any]:
    schema = schema_named(item.clip.landmark_schema)
    points_TLC, interpolated_T = arrays["landmarks"], arrays["interpolated"]
    angles_T3 = pose.head_pose(points_TLC, schema)
    return {
        "yaw_deg": pose.steepest(angles_T3[:, 0]),
        "pitch_deg": pose.steepest(angles_T3[:, 1]),
        "roll_deg": pose.steepest(angles_T3[:, 2]),
        "jitter": landmarks.jitter(points_TLC, interpolated_T, schema),
        "mouth_movement": landmarks.mouth_movement(points_TLC, interpolated_T, schema),
        "landmark_score": float(np.where(interpolated_T, 0.0, arrays["scores"]).mean()),
    }


def _measure_picture(item: ClipFiles, arrays: Mapping[str, Any]) -> dict[str, Any]:
    assert item.video is not None, "quality is given the aligned video"
    crop_px, matrices_T23 = item.clip.crop_px, arrays["matrices"]
    pictures = picture.read_pictures(item.video, len(matrices_T23))
    masks = picture.face_masks(arrays["landmarks"], matrices_T23, list(pictures.sampled), crop_px)
    light = picture.exposure(pictures, masks)
    return {
        "sharpness": picture.sharpness(pictures, masks),
        "luma_mean": light.luma_mean,
        "clipped_share": light.clipped_share,
        "frozen_share": picture.frozen_share(pictures, matrices_T23, crop_px),
        "picture_hash": hashes.picture_hash(pictures.small),
    }


def _read_arrays(item: ClipFiles) -> Mapping[str, Any]:
    schema = schema_named(item.clip.landmark_schema)
    arrays = read_arrays(item.landmarks, ("landmarks", "matrices", "scores", "interpolated"))
    return {
        "landmarks": schema.checked(arrays["landmarks"]),
        "matrices": arrays["matrices"].astype(np.float64),
        "scores": arrays["scores"].astype(np.float64),
        "interpolated": arrays["interpolated"].astype(np.bool_),
    }


def main() -> None:
    """`python -m stages.quality`, called by dvc.yaml."""
    params, cache = load_params(), open_cache()
    items = [ClipFiles.of(clip, cache) for clip in read_rows(CLIPS, Clip)]
    execute(QualityStage(params.quality), items, TABLE, Quality, params)


if __name__ == "__main__":
    run_main(main)
