"""Making one sample of a selected clip: offset corrected, members written, read back, re-scored."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import canonical_json
from pipeline.errors import DecodeError
from pipeline.media.clip_reader import read_arrays, read_audio, read_audio_int16
from pipeline.media.encode import check_cut, trim_clip
from pipeline.media.flac import write_flac
from pipeline.shards.correction import CommonInterval, common_interval
from pipeline.shards.labels import ClipSeries, labels_of
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import (
    FPS,
    QUIET_TIERS,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    Clip,
    Quality,
    Selected,
    SyncScore,
    Video,
)

LEFT_OUT = ("_by_frame", "_embedding", "jump_cuts")
"""Endings of columns of `quality` that are no part of a sample's JSON, or stand there otherwise."""


@dataclass(frozen=True, slots=True)
class SelectedClip:
    """A clip that `select` kept, with its table rows and its three files."""

    selected: Selected
    video: Video
    clip: Clip
    sync: SyncScore
    quality: Quality
    series: ClipSeries
    files: ClipFiles
    rejected_for: str = ""
    """Of a quiet clip: why `select` did not select it."""

    @property
    def is_quiet(self) -> bool:
        """Whether the clip is silent or listening: nobody can say what offset it has."""
        return self.selected.tier in QUIET_TIERS

    def sources(self) -> dict[str, str]:
        """Return what names the content of its files and of its labels."""
        return {"files": self.clip.artifact, "series": self.series.sha256()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescored:
    """A sync judge's score of a sample after the correction, as `SyncScore` but for the curve."""

    judge: str
    mode: str
    offset_frames: int
    offset_subframe: float
    confidence: float
    min_distance: float
    probability: float | None
    """Not stored in the sample."""
    wrong_frames: int
    """Frames in stretches whose sound is foreign or more than a frame out of sync."""
    sync_by_frame: NDArray[np.float64]
    """(T,) probabilities of each second: `pipeline.judge.seconds`. In the npz."""

    def facts(self) -> dict[str, Any]:
        """Return what the sample's JSON holds of it."""
        found = asdict(self)
        del found["probability"], found["sync_by_frame"]
        return found


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the judge needs of a sample, as its files hold it. T = frames."""

    landmarks: NDArray[np.float32]
    """(T, L, 3) in pixels of the source frame."""
    audio: NDArray[np.float32]
    """(T * 640,) mono, 16 kHz, -1 to 1."""


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """One sample as it was written, and the score of what was read back."""

    interval: CommonInterval
    rescored: Rescored | None
    """None for a quiet clip."""


def write_sample(
    item: SelectedClip, folder: Path, rescore: Callable[[ReadBack], Rescored | None]
) -> WrittenSample:
    """Write `<clip_id>.flac/.json/.mp4/.npz` into a folder, with the offset corrected.

    Sound and landmarks are read back with the readers that training uses and given to `rescore`;
    the JSON holds the result. The picture is compared with the clip's, packet by packet: `quality`
    has decoded that one.

    Raises:
        MediaError: a file of the clip cannot be read, or the members differ in length.
        StorageError: the folder cannot be written.
    """
    interval = interval_of(item)
    write_streams(item, interval, folder)
    rescored = rescore(_read_back(item, interval, folder))
    sync = rescored.sync_by_frame if rescored else None
    add_arrays(_member(item, folder, "npz"), labels_of(item.series, interval, sync))
    facts = {
        **sample_facts(item),
        "num_frames": interval.num_frames,
        "rescored": rescored.facts() if rescored else None,
    }
    _member(item, folder, "json").write_text(canonical_json(facts), encoding="utf-8")
    return WrittenSample(interval, rescored)


def interval_of(item: SelectedClip) -> CommonInterval:
    """Return the frames of the clip that become the sample."""
    one, first = item.selected, item.clip.start_frame
    return common_interval(
        one.start_frame - first,
        one.end_frame - first,
        item.clip.num_frames,
        one.offset_frames,
        one.drift_frames,
    )


def sample_facts(item: SelectedClip) -> dict[str, Any]:
    """Return the sample's JSON without what correcting and re-scoring add."""
    clip, sync, quality = _fields(item.clip), _fields(item.sync), _fields(item.quality)
    del clip["artifact"], sync["artifact"]
    measured = {name: value for name, value in quality.items() if not name.endswith(LEFT_OUT)}
    judged = {
        "offset_applied_frames": item.selected.offset_frames,
        "drift_applied_frames": item.selected.drift_frames,
        "probability": item.selected.probability,
        "sync": sync,
    }
    if item.is_quiet:
        judged = {**dict.fromkeys(judged), "rejected_for": item.rejected_for}
    return {
        "clip_id": item.selected.clip_id,
        "source_clip_id": item.clip.clip_id,
        "fps": FPS,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "licence": item.video.licence,
        "split": item.selected.split,
        "tier": item.selected.tier,
        "group": item.selected.group,
        "person": item.selected.person,
        "part_start_frame": item.selected.start_frame,
        "part_end_frame": item.selected.end_frame,
        **judged,
        "jump_cuts": _jump_cuts(item),
        "video": _fields(item.video),
        "clip": clip,
        "quality": measured,
    }


def _jump_cuts(item: SelectedClip) -> list[int]:
    """Return the jump cuts in frames of the sample."""
    interval = interval_of(item)
    inside = (frame - interval.first_frame for frame in item.quality.jump_cuts)
    return [frame for frame in inside if 0 < frame < interval.num_frames]


def _fields(row: Video | Clip | SyncScore | Quality) -> dict[str, Any]:
    """Return a flat row by field; `asdict` would copy its lists, a number for every frame."""
    return {one.name: getattr(row, one.name) for one in fields(row)}


def write_streams(item: SelectedClip, interval: CommonInterval, folder: Path) -> None:
    """Write mp4, flac and npz of the common interval, and an empty JSON object."""
    assert item.files.video is not None, "shards is given the aligned video"
    first, count = interval.first_frame, interval.num_frames
    trim_clip(item.files.video, _member(item, folder, "mp4"), first, count)
    samples = read_audio_int16(item.files.audio)
    if len(samples) != item.clip.num_frames * SAMPLES_PER_FRAME:
        raise DecodeError(
            f"{item.clip.clip_id}: {item.clip.num_frames} frames, sound of "
            f"{len(samples) / SAMPLES_PER_FRAME:g}"
        )
    audio = interval.audio(samples)
    write_flac(_member(item, folder, "flac"), audio, SAMPLE_RATE_HZ)
    arrays = read_arrays(item.files.landmarks)
    trimmed = {name: one[first : first + count] for name, one in arrays.items()}
    write_arrays(_member(item, folder, "npz"), trimmed)
    _member(item, folder, "json").write_text("{}", encoding="utf-8")


def add_arrays(path: Path, more: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz again with more arrays."""
    write_arrays(path, {**read_arrays(path), **more})


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz whose bytes do not depend on the order of the arrays."""
    ordered: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
    np.savez_compressed(path, **ordered)


def _read_back(item: SelectedClip, interval: CommonInterval, folder: Path) -> ReadBack:
    assert item.files.video is not None, "shards is given the aligned video"
    clip_id, count = item.selected.clip_id, interval.num_frames
    check_cut(item.files.video, _member(item, folder, "mp4"), interval.first_frame, count)
    landmarks = read_arrays(_member(item, folder, "npz"))["landmarks"]
    audio = read_audio(_member(item, folder, "flac"))
    audio_frames = len(audio) / SAMPLES_PER_FRAME
    if not count == len(landmarks) == audio_frames:
        raise DecodeError(
            f"{clip_id}: {count} frames, {len(landmarks)} landmarks, {audio_frames} audio frames"
        )
    return ReadBack(landmarks, audio)


def _member(item: SelectedClip, folder: Path, suffix: str) -> Path:
    return folder / f"{item.selected.clip_id}.{suffix}"
