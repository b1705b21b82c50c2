"""The checks of one sample: JSON, arrays, sound, picture, offset.

Shape suffixes: T frames at 25 fps, L landmarks.
"""

import io
import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.faces.schemas import SCHEMAS
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.media.clip_reader import read_arrays, read_audio, read_facts
from pipeline.media.container import as_media_error
from pipeline.media.encode import GOP, whole_frames
from pipeline.shards.labels import LABELS, SHARES
from pipeline.shards.training_sample import decode_sample
from pipeline.tables.rows import FPS, QUIET_TIERS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME

DTYPES = {
    "landmarks": "float32",
    "matrices": "float64",
    "scores": "float32",
    "boxes": "float32",
    "interpolated": "bool",
}
LABEL_DTYPES = dict.fromkeys(LABELS, "float32")
"""Shards of before have none."""
MAX_OFFSET_FRAMES = 1.0
MIN_PROBABILITY = 0.5
"""Below it the judge's answer is more likely wrong than right, and says nothing."""
SAME_SCORE_FRAMES = 0.05
"""The same judge on the same bytes says the same; on other processors by a little less."""
Members = Mapping[str, bytes]
"""Suffix -> content."""


def kinds(value: Any, name: str = "") -> dict[str, str]:
    """Return the path of every field of a JSON value -> its type."""
    if isinstance(value, Mapping):
        parts = [kinds(one, f"{name}.{key}" if name else str(key)) for key, one in value.items()]
        return {path: kind for part in parts for path, kind in part.items()}
    return {name: "null" if value is None else type(value).__name__}


def schema_fault(found: Mapping[str, str], known: Mapping[str, str]) -> str:
    """Return how the fields of a JSON differ from those of the others; empty: they do not.

    A null is of any type.
    """
    if missing := sorted(known.keys() - found.keys()):
        return f"no field {missing[0]}"
    if more := sorted(found.keys() - known.keys()):
        return f"field {more[0]}, which others do not have"
    for name, kind in sorted(found.items()):
        if kind != known[name] and "null" not in (kind, known[name]):
            return f"{name} is {kind}, in others {known[name]}"
    return ""


def facts_fault(facts: Mapping[str, Any], key: str, split: str) -> str:
    """Return what in a sample's JSON is not as it must be."""
    try:
        wanted = {"clip_id": key, "split": split, "fps": FPS, "sample_rate_hz": SAMPLE_RATE_HZ}
        for name, value in wanted.items():
            if facts[name] != value:
                return f"{name} is {facts[name]!r}, it must be {value!r}"
        clip, frames = facts["clip"], facts["num_frames"]
        begin, end = facts["part_start_frame"], facts["part_end_frame"]
        if not 0 < frames <= end - begin:
            return f"num_frames {frames} of a part of {end - begin}"
        if not clip["start_frame"] <= begin < end <= clip["end_frame"]:
            return "the part is not inside of its clip"
        if clip["video_id"] != facts["video"]["video_id"]:
            return "clip and video name two sources"
        if fault := _offset_fact_fault(facts):
            return fault
    except (KeyError, TypeError) as error:
        return f"cannot be used: {error!r}"
    return ""


def _offset_fact_fault(facts: Mapping[str, Any]) -> str:
    """Return what is wrong with the offset that was taken out; a quiet clip's cannot be known."""
    if not is_quiet_sample(facts):
        finite = math.isfinite(facts["offset_applied_frames"])
        return "" if finite else "offset_applied_frames is no number"
    unknown = ("offset_applied_frames", "sync", "rescored")
    said = [name for name in unknown if facts[name] is not None]
    return f"{said[0]} of a clip that is {facts['tier']}" if said else ""


def is_quiet_sample(facts: Mapping[str, Any]) -> bool:
    """Return whether a sample is of a tier of which nobody can say what its offset is."""
    return facts.get("tier") in QUIET_TIERS


def finite_facts(content: bytes) -> dict[str, Any]:
    """Return the JSON object.

    Raises:
        DecodeError: no JSON object, or it has NaN or Infinity, which JSON does not know.
    """
    facts = read_facts(content)
    try:
        json.loads(content, parse_constant=_refused)
    except ValueError as error:
        raise DecodeError(str(error)) from error
    return facts


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def arrays_fault(npz: bytes, facts: Mapping[str, Any]) -> str:
    """Return what in the arrays is not as it must be.

    Raises:
        DecodeError: they cannot be read.
    """
    arrays, frames = read_arrays(npz), facts.get("num_frames")
    if missing := sorted(DTYPES.keys() - arrays.keys()):
        return f"no array {missing[0]}"
    dtypes = {**DTYPES, **LABEL_DTYPES}
    for name, array in sorted(arrays.items()):
        if len(array) != frames:
            return f"{name} has {len(array)} rows for {frames} frames"
        if array.dtype.name != dtypes.get(name, array.dtype.name):
            return f"{name} is {array.dtype}, it must be {dtypes[name]}"
        known = not (name == "sync" and is_quiet_sample(facts))
        if array.dtype.kind == "f" and np.isfinite(array).all() != known:
            return f"{name} has a value that is {'no' if known else 'a'} number"
    return _range_fault(arrays, facts) or _labels_fault(arrays)


def _labels_fault(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return what is wrong with the labels per frame; a sample has all of them or none."""
    found = LABELS.keys() & arrays.keys()
    if found and (missing := sorted(LABELS.keys() - found)):
        return f"no label {missing[0]}, but {min(found)}"
    for name in sorted(found):
        low, high = float(arrays[name].min()), float(arrays[name].max())
        if math.isnan(low):  # allowed, or named before
            continue
        if low < 0 or (name in SHARES and high > 1):
            return f"{name} from {low:g} to {high:g}"
    return ""


def _range_fault(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> str:
    schema = SCHEMAS.get(str(facts.get("clip", {}).get("landmark_schema")))
    if schema and arrays["landmarks"].shape[1] != schema.num_points:
        return f"{arrays['landmarks'].shape[1]} landmarks, {schema.name} has {schema.num_points}"
    scores, boxes, matrices = arrays["scores"], arrays["boxes"], arrays["matrices"]
    if scores.min() < 0 or scores.max() > 1:
        return f"scores from {scores.min():g} to {scores.max():g}"
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        return "a box without area"
    if not (np.linalg.det(matrices[:, :, :2]) > 0).all():
        return "a matrix that is no map of the picture"
    return ""


def sound_fault(flac: bytes, facts: Mapping[str, Any]) -> str:
    """Return whether the sound is not as long as the picture.

    Raises:
        DecodeError: it does not decode, or is not 16 kHz mono.
    """
    found, wanted = len(read_audio(flac)), facts.get("num_frames", 0) * SAMPLES_PER_FRAME
    return "" if found == wanted else f"{found} samples of sound, {wanted} belong to the frames"


def picture_fault(mp4: bytes, facts: Mapping[str, Any]) -> str:
    """Return what in the picture is not as it must be.

    Raises:
        DecodeError: a frame does not decode, or their number is another one.
    """
    if fault := _packets_fault(mp4):
        return fault
    side = facts.get("clip", {}).get("crop_px")
    sizes = {(one.width, one.height) for one in whole_frames(mp4, facts.get("num_frames"))}
    return "" if sizes == {(side, side)} else f"frames of {sorted(sizes)}, crop_px is {side}"


def _packets_fault(mp4: bytes) -> str:
    try:
        with av.open(io.BytesIO(mp4), "r") as container:
            if len(container.streams.video) != 1:
                return f"{len(container.streams.video)} tracks of pictures"
            video = container.streams.video[0]
            packets = [one for one in container.demux(video) if one.size]
            times = [None if p.pts is None else p.pts * p.time_base for p in packets]
    except av.FFmpegError as error:
        raise as_media_error(error, DecodeError, "clip") from error
    if times != [Fraction(k, FPS) for k in range(len(packets))]:
        return "frame k is not shown at k / 25 s"
    keys = [k for k, one in enumerate(packets) if one.is_keyframe]
    if not keys or keys[0]:
        return "the first frame is no key frame"
    gaps = np.diff([*keys, len(packets)])
    return f"{gaps.max()} frames from one key frame to the next" if gaps.max() > GOP else ""


def offset_fault(key: str, members: Members, judge: LandmarkJudge) -> str:
    """Score a sample again, through the reader that training uses; return what contradicts it.

    Raises:
        DecodeError: a member does not decode.
    """
    sample = decode_sample({"__key__": key, **members})
    again = judge.score(sample.landmarks, sample.audio)
    found, rescored = again.offset_subframe, sample.facts.get("rescored")
    said = rescored.get("offset_subframe") if isinstance(rescored, Mapping) else None
    if isinstance(said, float) and abs(found - said) > SAME_SCORE_FRAMES:
        return f"scores {found:+.2f} frames, its JSON says {said:+.2f}"
    sure = (again.probability or 0.0) >= MIN_PROBABILITY
    if sure and abs(found) > MAX_OFFSET_FRAMES:
        return f"sound and lips are {found:+.2f} frames apart"
    return ""
