"""Layouts that are folders of files and lists of them: Wav2Lip, LatentSync, KeySync, plain."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.atomic import write_text
from pipeline.export.contents import ClipEntry, ExportSample
from pipeline.export.errors import ExportError
from pipeline.export.geometry import face_geometry
from pipeline.export.landmarks68 import conversion_name
from pipeline.export.layout import ExportTarget
from pipeline.export.media import write_jpeg, write_mp4_with_sound, write_wav
from pipeline.export.rigid import rigid_row
from pipeline.media.encode import read_video

SPLITS = ("train", "val", "test")
SOUND_INSIDE = "the sound inside of the mp4 is the FLAC of the shard, packet by packet: no loss"


def parent(path: Path) -> Path:
    """Return the path, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class Listed:
    """A layout with one list of clips per split."""

    min_frames: ClassVar[int] = 1

    def __init__(self, target: ExportTarget) -> None:
        self.target = target
        self.folder = target.folder
        self.lines: dict[str, list[str]] = {split: [] for split in SPLITS}

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Nothing to remark."""
        return ""

    def list(self, split: str, line: str) -> None:
        """Add a line to the list of a split."""
        self.lines.setdefault(split, []).append(line)

    def write_lists(self, folder: Path, header: str = "") -> None:
        """Write `<split>.txt` for every split, empty where it has no clip."""
        for split, lines in self.lines.items():
            body = [header, *lines] if header else lines
            write_text(folder / f"{split}.txt", "".join(f"{line}\n" for line in body))


class Wav2Lip(Listed):
    """`<split>/<clip>/0.jpg ...` and `audio.wav`, `filelists/<split>.txt`."""

    name: ClassVar[str] = "wav2lip"
    min_frames: ClassVar[int] = 16
    notes: ClassVar[tuple[str, ...]] = (
        "pictures are JPEG, quality 98, 4:4:4: close to the video but not equal",
        "cut to one box per clip that holds the face in every frame",
    )

    def add(self, sample: ExportSample) -> str:
        """Write the pictures of the face, numbered without a gap, and the sound."""
        left, top, right, bottom = face_geometry(sample).box
        name = f"{sample.entry.split}/{sample.entry.clip_id}"
        sound = parent(self.folder / name / "audio.wav")
        for number, rgb in enumerate(read_video(sample.members["mp4"], sample.entry.num_frames)):
            write_jpeg(sound.parent / f"{number}.jpg", rgb[top:bottom, left:right])
        write_wav(sound, sample.members["flac"])
        self.list(sample.entry.split, name)
        return ""

    def finish(self) -> None:
        """Write the three lists that its trainers open."""
        self.write_lists(self.folder / "filelists")


class LatentSync(Listed):
    """`videos/<clip>.mp4` with sound, `<split>.txt` with one absolute path a line."""

    name: ClassVar[str] = "latentsync"
    min_frames: ClassVar[int] = 48
    notes: ClassVar[tuple[str, ...]] = (
        SOUND_INSIDE,
        "the lists hold absolute paths, as its reader wants: export again after moving the folder",
    )

    def add(self, sample: ExportSample) -> str:
        """Write the mp4."""
        name = f"videos/{sample.entry.clip_id}.mp4"
        members = sample.members
        write_mp4_with_sound(parent(self.folder / name), members["mp4"], members["flac"])
        self.list(sample.entry.split, str(self.target.out / name))
        return ""

    def finish(self) -> None:
        """Write the lists."""
        self.write_lists(self.folder)


class KeySync(Listed):
    """`video_crop/<clip>.mp4`, `audio/<clip>.wav`, `landmarks_crop/<clip>.npy`, lists of mp4."""

    name: ClassVar[str] = "keysync"
    min_frames: ClassVar[int] = 170
    size_px: ClassVar[int] = 512
    notes: ClassVar[tuple[str, ...]] = (
        "audio_emb/ (HuBERT) and video_crop_emb/ (latents) are made by KeySync's own scripts",
        "the lists hold absolute paths, as folders are found by replacing a part of them",
        "pictures keep the size of the shards; KeySync trains at 512 px: faces.crop_px",
    )

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Remark the pictures' size.

        Raises:
            ExportError: the path holds a folder name that its reader replaces.
        """
        if "video_crop" in str(self.target.out):
            raise ExportError(
                f"{self.target.out}: KeySync replaces `video_crop` in paths; rename it"
            )
        sizes = sorted({clip.crop_px for clip in clips if clip.crop_px != self.size_px})
        fix = f"KeySync trains at {self.size_px}: set faces.crop_px: {self.size_px} in params.yaml"
        return f"pictures have {sizes[0]} px, {fix}" if sizes else ""

    def add(self, sample: ExportSample) -> str:
        """Write picture, sound and points."""
        clip_id = sample.entry.clip_id
        video = parent(self.folder / "video_crop" / f"{clip_id}.mp4")
        video.write_bytes(sample.members["mp4"])
        write_wav(parent(self.folder / "audio" / f"{clip_id}.wav"), sample.members["flac"])
        points = face_geometry(sample).points.astype(np.float32)
        np.save(parent(self.folder / "landmarks_crop" / f"{clip_id}.npy"), points)
        self.list(sample.entry.split, str(self.target.out / "video_crop" / video.name))
        return ""

    def finish(self) -> None:
        """Write the lists."""
        self.write_lists(self.folder)


class Folders(Listed):
    """`<split>/<clip>/` with video.mp4 (with sound), audio.wav, landmarks68.npy, arrays, facts."""

    name: ClassVar[str] = "folders"
    notes: ClassVar[tuple[str, ...]] = (SOUND_INSIDE,)

    def add(self, sample: ExportSample) -> str:
        """Write one folder."""
        name = f"{sample.entry.split}/{sample.entry.clip_id}"
        members, place = sample.members, self.folder / name
        write_mp4_with_sound(parent(place / "video.mp4"), members["mp4"], members["flac"])
        write_wav(place / "audio.wav", members["flac"])
        (place / "facts.json").write_bytes(members["json"])
        (place / "arrays.npz").write_bytes(members["npz"])
        np.save(place / "landmarks68.npy", face_geometry(sample).points.astype(np.float32))
        conversion = {"landmarks68": conversion_name(sample.entry.landmark_schema)}
        line = {"folder": name, **rigid_row(sample), **conversion}
        self.list(sample.entry.split, json.dumps(line, ensure_ascii=False))
        return ""

    def finish(self) -> None:
        """Write one table of clips per split."""
        for split, lines in self.lines.items():
            if lines:
                write_text(self.folder / f"{split}.jsonl", "".join(f"{one}\n" for one in lines))
