"""One sample of a shard, decoded as training decodes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import read_arrays, read_audio, read_facts
from pipeline.media.encode import read_video


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One decoded sample. T = frames at 25 fps; audio has exactly 640 samples per frame."""

    clip_id: str
    frames: NDArray[np.uint8]
    """(T, H, W, 3) RGB."""
    audio: NDArray[np.float32]
    """(T * 640,) mono, 16 kHz, -1 to 1."""
    facts: Mapping[str, Any]
    """The sample's JSON."""
    landmarks: NDArray[np.float32]
    """(T, L, 3) in pixels of the source frame."""
    matrices: NDArray[np.float64]
    """(T, 2, 3) source pixels -> crop pixels."""


def clip_id_of(sample: Mapping[str, Any]) -> str:
    """Return the name of a sample as the package webdataset gives it."""
    return str(sample["__key__"]).rsplit("/", 1)[-1]


def decode_sample(sample: Mapping[str, Any]) -> TrainingSample:
    """Decode the members of one sample, given as bytes under `mp4`, `flac`, `json`, `npz`.

    Raises:
        DecodeError: a member does not decode, or the video has not the frames the JSON says.
    """
    arrays = read_arrays(sample["npz"], ("landmarks", "matrices"))
    facts = read_facts(sample["json"])
    return TrainingSample(
        clip_id=clip_id_of(sample),
        frames=read_video(sample["mp4"], _num_frames(facts)),
        audio=read_audio(sample["flac"]),
        facts=facts,
        landmarks=arrays["landmarks"],
        matrices=arrays["matrices"],
    )


def _num_frames(facts: Mapping[str, Any]) -> int | None:
    """Return how many frames the JSON says; None if it says nothing.

    Raises:
        DecodeError: it says something that is no number of frames.
    """
    said = facts.get("num_frames")
    if said is not None and type(said) is not int:
        raise DecodeError(f"num_frames of the JSON is {said!r:.40}")
    return said
