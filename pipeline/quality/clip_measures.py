"""All measurements of one clip: landmarks, picture and sound, by the name of their column."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.faces.schemas import schema_named
from pipeline.identity.clip_identity import IdentityNetworks, face_embedding, voice_embedding
from pipeline.media.clip_reader import read_arrays, read_audio
from pipeline.quality import cover, hashes, landmarks, picture, pose, speech, text_overlay
from pipeline.quality.film_samples import samples_of
from pipeline.quality.jump_cuts import jump_cuts
from pipeline.quality.recognizer import Recognizer, transcribe
from pipeline.quality.text_reader import TextReader
from pipeline.tables.clip_files import ClipFiles

_ARRAYS = ("landmarks", "matrices", "scores", "interpolated")


@dataclass(frozen=True, slots=True)
class Detectors:
    """The networks that measures need, loaded once per worker."""

    speech: speech.SpeechDetector
    cover: cover.CoverDetector
    identity: IdentityNetworks
    text: TextReader | None = None
    """None: text is not looked for."""
    recognizer: Recognizer | None = None
    """None: nothing is transcribed."""


def measure_clip(
    item: ClipFiles, detectors: Detectors, vad_threshold: float, film: Path | None = None
) -> dict[str, Any]:
    """Return the measured columns of `Quality`.

    Args:
        vad_threshold: speech probability from which a window starts to be speech.
        film: the clip's film, where text is looked for.

    Raises:
        UnreadableError: the storage refuses to give one of the three files.
        DecodeError: one of the three files does not decode or does not fit the others.
    """
    arrays = _checked_arrays(item)
    audio_N, num_frames = read_audio(item.audio), len(arrays["matrices"])
    heard = _measure_audio(audio_N, num_frames, detectors.speech, vad_threshold)
    return {
        **_measure_landmarks(item, arrays),
        **_measure_picture(item, arrays, detectors.cover),
        **heard,
        **_identify(item, audio_N, heard["speech_by_frame"], detectors.identity),
        **_read_text(item, arrays, detectors.text, film),
        **_transcribe(audio_N, heard["speech_share"], detectors.recognizer),
    }


def _transcribe(
    audio_N: npt.NDArray[np.float32], speech_share: float, recognizer: Recognizer | None
) -> dict[str, Any]:
    if recognizer is None:
        return {}
    return asdict(transcribe(audio_N, speech_share > 0, recognizer))


def _read_text(
    item: ClipFiles, arrays: Mapping[str, Any], reader: TextReader | None, film: Path | None
) -> dict[str, Any]:
    if reader is None:
        return {}
    assert film is not None, "text is looked for in the film"
    schema = schema_named(item.clip.landmark_schema)
    face = text_overlay.FaceInCrop(
        arrays["landmarks"], arrays["matrices"], schema, item.clip.crop_px
    )
    return asdict(text_overlay.label_text(samples_of(film, item.clip), reader, face))


def _identify(
    item: ClipFiles,
    audio_N: npt.NDArray[np.float32],
    speech_T: list[float],
    networks: IdentityNetworks,
) -> dict[str, Any]:
    assert item.video is not None, "quality is given the aligned video"
    return {
        "face_embedding": face_embedding(item.video, len(speech_T), networks.face),
        "voice_embedding": voice_embedding(audio_N, speech_T, networks.voice),
    }


def _checked_arrays(item: ClipFiles) -> Mapping[str, Any]:
    schema = schema_named(item.clip.landmark_schema)
    arrays = read_arrays(item.landmarks, _ARRAYS)
    return {
        "landmarks": schema.checked(arrays["landmarks"]),
        "matrices": arrays["matrices"].astype(np.float64),
        "scores": arrays["scores"].astype(np.float64),
        "interpolated": arrays["interpolated"].astype(np.bool_),
    }


def _measure_landmarks(item: ClipFiles, arrays: Mapping[str, Any]) -> dict[str, Any]:
    schema = schema_named(item.clip.landmark_schema)
    points_TLC, interpolated_T = arrays["landmarks"], arrays["interpolated"]
    angles_T3 = pose.head_pose(points_TLC, schema)
    return {
        "yaw_deg": pose.steepest(angles_T3[:, 0]),
        "pitch_deg": pose.steepest(angles_T3[:, 1]),
        "roll_deg": pose.steepest(angles_T3[:, 2]),
        "roll_by_frame": series(angles_T3[:, 2]),
        "jitter": landmarks.jitter(points_TLC, interpolated_T, schema),
        "mouth_movement": landmarks.mouth_movement(points_TLC, interpolated_T, schema),
        "landmark_score": float(np.where(interpolated_T, 0.0, arrays["scores"]).mean()),
    }


def _measure_picture(
    item: ClipFiles, arrays: Mapping[str, Any], detector: cover.CoverDetector
) -> dict[str, Any]:
    assert item.video is not None, "quality is given the aligned video"
    crop_px, matrices_T23 = item.clip.crop_px, arrays["matrices"]
    pictures = picture.read_pictures(item.video, len(matrices_T23))
    masks = picture.face_masks(arrays["landmarks"], matrices_T23, list(pictures.sampled), crop_px)
    light = picture.exposure(pictures, masks)
    schema = schema_named(item.clip.landmark_schema)
    lips_TP2 = cover.lips_in_crop(arrays["landmarks"], matrices_T23, schema, crop_px)
    changes_T = picture.changes(pictures, matrices_T23, crop_px)
    return {
        "sharpness": picture.sharpness(pictures, masks),
        "luma_mean": light.luma_mean,
        "clipped_share": light.clipped_share,
        "frozen_share": picture.frozen_share(changes_T),
        "change_by_frame": series(changes_T),
        "cover_by_frame": series(cover.cover(pictures.planes, lips_TP2, detector)),
        "jump_cuts": jump_cuts(changes_T, arrays["landmarks"], arrays["interpolated"], schema),
        "picture_hash": hashes.picture_hash(pictures.small),
    }


def _measure_audio(
    audio_N: npt.NDArray[np.float32],
    num_frames: int,
    detector: speech.SpeechDetector,
    vad_threshold: float,
) -> dict[str, Any]:
    probabilities_W = detector.probabilities(audio_N)
    speech_W = speech.speech_windows(probabilities_W, vad_threshold)
    return {
        "speech_share": float(speech_W.mean()),
        "speech_by_frame": series(speech.speech_by_frame(speech_W, num_frames)),
        "snr_db": speech.snr_db(audio_N, speech_W),
        "audio_hash": hashes.audio_hash(audio_N),
    }


def series(values_T: npt.NDArray[np.float64]) -> list[float]:
    """Return values of a table's column with one number per frame, to 3 significant digits."""
    return [float(f"{value:.3g}") for value in values_T]
