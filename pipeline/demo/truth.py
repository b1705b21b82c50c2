"""Ground truth of the demo corpus: what each file is and how the curation must end for it.

truth.json: `files`, sorted by uri, each with kind, faults, endings per stage, cuts (25 fps frame
of the first picture of the new shot) and faces. A face is one person in one shot, with its good
and its bad stretches.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ManifestError
from pipeline.faces.box import Box
from pipeline.tables.rows import FPS

FaultKind = Literal[
    "foreign_sound",
    "lost_sound",
    "other_person",
    "dissolve",
    "fade",
    "frozen",
    "covered_mouth",
    "hole",
    "damaged",
    "clock_restarts",
    "second_picture",
    "second_sound",
]
"""What a film is that is good in part, or that an other track or clock must be read from."""
LabelKind = Literal["occluder", "jump_cuts"]
"""What a film is of which nothing is to be kept, and on which labels are measured."""
EDGE_FRAMES = 5
"""0.2 s: a line that finds a boundary so near has found it."""
BOX_EVERY = 5
"""A box is noted for every so many frames of the 25 fps grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueStretch:
    """[start_s, end_s) of a film, in seconds from its first frame, on the 25 fps grid."""

    start_s: float
    end_s: float
    offset_frames: int = 0
    """Good stretches: the true AV offset, positive = audio early."""
    kind: str = ""
    """Bad stretches: what is wrong."""

    @property
    def frames(self) -> range:
        """The frames of the grid that lie in it."""
        return range(round(self.start_s * FPS), round(self.end_s * FPS))

    @property
    def inner_frames(self) -> range:
        """Those that count: without 0.2 s at either end, or a quarter of a short stretch."""
        edge = min(EDGE_FRAMES, len(self.frames) // 4)
        return self.frames[edge : len(self.frames) - edge]


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One person in one shot."""

    shot: int
    start_frame: int
    end_frame: int
    frames: tuple[int, ...]
    """25 fps frames that have a box."""
    boxes: tuple[Box, ...]
    """x0, y0, x1, y1 in displayed pixels: the extent of the landmarks."""
    speaking: bool
    offset_frames: int
    """True AV offset, positive = audio early; means nothing unless `speech_matches`."""
    speech_matches: bool
    """Whether the sound is this face's speech."""
    should_be_kept: bool
    good: tuple[TrueStretch, ...] = ()
    """Picture and sound are genuine, of one person, in sync at one known offset."""
    bad: tuple[TrueStretch, ...] = ()
    """No frame of these may be in a kept clip. What is in neither list may be kept or not: the
    frames at an end whose sound lies beyond it."""
    hidden: tuple[tuple[int, float], ...] = ()
    """(frame, share of the lips' area that is hidden), for every frame in which a hand or a
    microphone is before the picture, over the mouth or beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTruth:
    """One file."""

    uri: str
    kind: str
    faults: tuple[str, ...]
    endings: Mapping[str, Mapping[str, Any]]
    """stage -> {status, reasons}; a reason of the list must be given if the list is not empty."""
    num_frames: int = 0
    cuts: tuple[int, ...] = ()
    transitions: tuple[tuple[int, int], ...] = ()
    """[start, end] frames in which a cut may be found or not."""
    jumps: tuple[tuple[int, int], ...] = ()
    """(first frame of the new picture, frames that are missing before it): jump cuts."""
    may_fail: tuple[str, ...] = ()
    """The line may also refuse the file with one of these reasons."""
    faces: tuple[Face, ...] = ()
    stored: Mapping[str, Any] = field(default_factory=dict)
    """How the file was written: fps, codecs, rotation and the like."""


def write_truth(path: Path, seed: int, files: list[FileTruth]) -> None:
    """Write truth.json, sorted by uri."""
    document = {
        "seed": seed,
        "fps": 25,
        "offset_sign": "positive = audio early",
        "files": [asdict(one) for one in sorted(files, key=lambda one: one.uri)],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def read_truth(path: Path) -> list[FileTruth]:
    """Read truth.json.

    Raises:
        ManifestError: no such file, or not one that `write_truth` wrote.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return [_file(record) for record in document["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path}: not the demo's truth ({error}); `lipforge demo`") from error


def _file(record: dict[str, Any]) -> FileTruth:
    faces = tuple(_face(face) for face in record.pop("faces"))
    lists: dict[str, Any] = {
        name: tuple(record.pop(name)) for name in ("cuts", "faults", "may_fail")
    }
    pairs: dict[str, Any] = {
        name: tuple((one, two) for one, two in record.pop(name))
        for name in ("transitions", "jumps")
    }
    return FileTruth(faces=faces, **pairs, **lists, **record)


def _face(record: dict[str, Any]) -> Face:
    boxes: tuple[Any, ...] = tuple(tuple(box) for box in record.pop("boxes"))
    good, bad = (tuple(TrueStretch(**one) for one in record.pop(name)) for name in ("good", "bad"))
    hidden = tuple((frame, share) for frame, share in record.pop("hidden"))
    return Face(
        frames=tuple(record.pop("frames")), boxes=boxes, good=good, bad=bad, hidden=hidden, **record
    )
