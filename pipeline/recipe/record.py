"""The recipe's file: JSON Lines, a header, then one sample a line. docs/recipe.md has every field.

Numbers are written so that they read back to the bit. The same data set gives the same bytes.

Shape suffixes: T frames of a sample at 25 fps, F frames of the clip it is a part of.
"""

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.digest import canonical_json
from pipeline.errors import ManifestError
from pipeline.shard_index.index_file import checked_index
from pipeline.shards.tar import MEMBERS
from pipeline.tables.rows import QUIET_TIERS

FORMAT, FORMAT_VERSION = "lipforge-recipe", 1
Array = NDArray[Any]
NAME = re.compile(r"\w[\w-]*")
"""What a recipe of somebody else may name files: nothing outside of the output."""
_DAMAGES = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What a line of another shape raises, depending on where it is damaged."""

FACTS: Mapping[str, type | tuple[type, ...]] = {
    "split": str,
    "part_start_frame": int,
    "part_end_frame": int,
    "clip.start_frame": int,
    "clip.num_frames": int,
    "video.video_id": str,
    "video.uri": str,
    "video.url": str,
    "video.size_bytes": int,
    "video.num_frames": int,
}
"""What rebuilding reads of a sample's JSON, and CORRECTIONS."""
CORRECTIONS = ("offset_applied_frames", "drift_applied_frames")
"""Numbers; null of a quiet clip, whose sound is as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeHeader:
    """What holds for all samples."""

    index: Mapping[str, Any]
    """The shards' index.json."""
    faces: Mapping[str, Any]
    """The section `faces` of params.yaml without paths of the machine."""
    versions: Mapping[str, str]
    """Library -> version, of all that decides a byte."""
    weights: Mapping[str, str]
    """File name -> SHA-256 of the networks that place landmarks."""
    samples: int

    def to_json(self) -> dict[str, Any]:
        """Return the first line."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "index": dict(self.index),
            "faces": dict(self.faces),
            "versions": dict(self.versions),
            "weights": dict(self.weights),
            "samples": self.samples,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """One sample: all that is not in its film."""

    clip_id: str
    shard: str
    start_frame: int
    """Of the film's grid at 25 fps: the sample is frames [start_frame, end_frame)."""
    end_frame: int
    facts: Mapping[str, Any]
    """The sample's JSON, member for member."""
    matrices: Array
    """(F, 2, 3) source pixel -> crop pixel, of the whole clip: it was encoded as one, and its mean
    bit rate stands in the container of every part."""
    points: Mapping[int, Array]
    """Frame of the sample -> (L, 3) landmarks that do not follow from the frame before."""
    arrays: Mapping[str, Array]
    """Arrays of the npz, (T, ...), besides landmarks, their boxes and matrices."""
    members: Mapping[str, Mapping[str, Any]]
    """Suffix -> `bytes` and `sha256`."""

    @property
    def video_id(self) -> str:
        """SHA-256 of the film."""
        return str(self.facts["video"]["video_id"])

    @property
    def clip_start(self) -> int:
        """First frame of the sample's clip."""
        return int(self.facts["clip"]["start_frame"])

    def to_json(self) -> dict[str, Any]:
        """Return the line."""
        return {
            "clip_id": self.clip_id,
            "shard": self.shard,
            "start_frame": self.start_frame,
            "end_frame": self.end_frame,
            "facts": dict(self.facts),
            "matrices": self.matrices.reshape(-1, 6).tolist(),
            "points": {str(k): _packed(one) for k, one in sorted(self.points.items())},
            "arrays": {name: _packed(one) for name, one in sorted(self.arrays.items())},
            "members": {name: dict(one) for name, one in sorted(self.members.items())},
        }

    @classmethod
    def of_line(cls, line: str) -> "SampleRecord":
        """Read a line.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError: it is no
                such line.
        """
        read = json.loads(line)
        if not NAME.fullmatch(read["clip_id"]):
            raise ValueError(f"clip_id {read['clip_id']!r}")
        return cls(
            **{k: read[k] for k in ("clip_id", "shard", "start_frame", "end_frame", "facts")},
            matrices=np.array(read["matrices"], np.float64).reshape(-1, 2, 3),
            points={int(k): _unpacked(one) for k, one in read["points"].items()},
            arrays={name: _unpacked(one) for name, one in read["arrays"].items()},
            members=read["members"],
        )


def write_recipe(path: Path, header: RecipeHeader, samples: Iterable[SampleRecord]) -> int:
    """Write a recipe at once; return how many samples it has.

    Raises:
        StorageError: the disk is full or not writable.
    """
    count = 0
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(canonical_json(header.to_json()) + "\n")
        for sample in samples:
            file.write(canonical_json(sample.to_json()) + "\n")
            count += 1
    return count


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that was opened; its samples are read one after the other."""

    path: Path
    header: RecipeHeader

    @classmethod
    def open(cls, path: Path) -> "Recipe":
        """Read the header.

        Raises:
            ManifestError: the file is absent, no recipe, or one of another version.
        """
        try:
            with path.open(encoding="utf-8") as file:
                read = json.loads(file.readline())
            name, version = read["format"], read["format_version"]
        except OSError as error:
            raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ManifestError(f"{path}: no recipe of lipforge: {error!r}") from error
        if (name, version) != (FORMAT, FORMAT_VERSION):
            fix = f"this lipforge reads {FORMAT} {FORMAT_VERSION}; install the one it was made with"
            raise ManifestError(f"{path}: {name} {version}; {fix}")
        return cls(path, _checked_header(read, path))

    def lines(self) -> Iterator[str]:
        """Yield the line of every sample.

        Raises:
            ManifestError: the file has another number of them than it says.
        """
        count = 0
        with self.path.open(encoding="utf-8") as file:
            file.readline()
            for line in file:
                yield line
                count += 1
        if count != self.header.samples:
            said = f"{count} samples, its header says {self.header.samples}"
            raise ManifestError(f"{self.path}: {said}; fetch it again")

    def samples(self) -> Iterator[SampleRecord]:
        """Yield every sample.

        Raises:
            ManifestError: a line is damaged; and as `lines`.
        """
        shards, seen = {one["name"] for one in self.header.index["shards"]}, set[str]()
        for number, line in enumerate(self.lines(), 2):
            try:
                record = SampleRecord.of_line(line)
                _check(record, shards)
            except _DAMAGES as error:
                raise ManifestError(f"{self.path}:{number}: no sample: {error!r}") from error
            if record.clip_id in seen:
                raise ManifestError(f"{self.path}:{number}: {record.clip_id} is there twice")
            seen.add(record.clip_id)
            yield record


def _checked_header(read: Mapping[str, Any], path: Path) -> RecipeHeader:
    names = ("index", "faces", "versions", "weights", "samples")
    if missing := [one for one in names if one not in read]:
        raise ManifestError(f"{path}: its header has no {missing[0]!r}; fetch it again")
    for one in names:
        if type(read[one]) is not (int if one == "samples" else dict):
            raise ManifestError(f"{path}: {one!r} of its header is {read[one]!r:.60}")
    for one in checked_index(read["index"], f"{path}: index")["shards"]:
        if not isinstance(one.get("sha256"), str):
            raise ManifestError(f"{path}: index: {one['name']} without its SHA-256")
    return RecipeHeader(**{one: read[one] for one in names})


def _check(record: SampleRecord, shards: Collection[str]) -> None:
    """Refuse a line that contradicts itself or the header.

    Args:
        shards: names of the tars that the header's index has.

    Raises:
        ValueError, KeyError, TypeError: says what is wrong.
    """
    if record.shard not in shards:
        raise ValueError(f"shard {record.shard!r:.60} is not in the header's index")
    for path, kind in FACTS.items():
        _require(_at(record.facts, path), kind, f"facts.{path}")
    is_quiet = record.facts.get("tier") in QUIET_TIERS
    for name in CORRECTIONS:
        _require(record.facts[name], type(None) if is_quiet else (int, float), f"facts.{name}")
    _require(record.start_frame, int, "start_frame")
    _require(record.end_frame, int, "end_frame")
    frames = record.facts["clip"]["num_frames"]
    if len(record.matrices) != frames or not np.isfinite(record.matrices).all():
        raise ValueError(f"matrices of {len(record.matrices)} frames, the clip has {frames}")
    if any(one.ndim != 2 for one in record.points.values()) or 0 not in record.points:
        raise ValueError("points without those of the first frame")
    for name in MEMBERS:
        _require(record.members[name]["sha256"], str, f"members.{name}.sha256")


def _at(facts: Mapping[str, Any], path: str) -> Any:
    value: Any = facts
    for key in path.split("."):
        value = value[key]
    return value


def _require(value: object, kind: type | tuple[type, ...], name: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r:.60}")


def _packed(array: Array) -> dict[str, Any]:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    text = base64.b64encode(little.tobytes()).decode()
    return {"dtype": little.dtype.str, "shape": list(array.shape), "base64": text}


def _unpacked(stored: Mapping[str, Any]) -> Array:
    dtype = np.dtype(str(stored["dtype"]))
    if dtype.kind not in "biuf":
        raise ValueError(f"an array of {dtype}")
    content = base64.b64decode(stored["base64"], validate=True)
    return np.frombuffer(content, dtype).reshape(stored["shape"]).copy()
