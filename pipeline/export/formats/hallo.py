"""Hallo2, and the JSON list of EchoMimic and HighSync."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import write_text
from pipeline.digest import canonical_json
from pipeline.export.contents import ClipEntry, ExportSample
from pipeline.export.formats.file_lists import SOUND_INSIDE, parent
from pipeline.export.geometry import face_geometry
from pipeline.export.layout import ExportTarget
from pipeline.export.media import write_mp4_with_sound, write_wav
from pipeline.media.encode import read_video

FACE, LIP = tuple(range(68)), tuple(range(48, 68))
MARGIN = 0.1
"""Of the face's width: what a mask has beyond the hull of the points."""
VAL_CLIPS = 100
"""The last entries of the EchoMimic list are its validation."""
MASKS = ("face_mask", "sep_pose_mask", "sep_face_mask", "sep_lip_mask")


class Hallo:
    """`videos`, `audios`, `images/<clip>/`, four masks, and lists that name the embeddings too."""

    name: ClassVar[str] = "hallo"
    min_frames: ClassVar[int] = 16
    notes: ClassVar[tuple[str, ...]] = (
        SOUND_INSIDE,
        "images are PNG: equal to the video's pictures as RGB",
        "masks are PNG, one per clip, hulls of converted landmarks of all frames; not blurred",
        "face_emb, audio_emb, audio_emb_whisper are made by the consumer's own scripts; the lists "
        "name where they must lie",
        f"echomimic.json: its last {VAL_CLIPS} entries are validation; clips of val and test stand "
        "last, those of train before them",
    )

    def __init__(self, target: ExportTarget) -> None:
        self.folder, self.out = target.folder, target.out
        self.clips: list[tuple[str, str]] = []

    def begin(self, clips: Sequence[ClipEntry]) -> str:
        """Remark how many clips of train the validation of EchoMimic takes."""
        held_out = sum(clip.split != "train" for clip in clips)
        if not clips or held_out == VAL_CLIPS:
            return ""
        return (
            f"echomimic.json: its reader holds the last {VAL_CLIPS} clips out; {held_out} of this "
            "export are of val or test"
        )

    def add(self, sample: ExportSample) -> str:
        """Write one clip."""
        clip_id, members = sample.entry.clip_id, sample.members
        video = parent(self.folder / "videos" / f"{clip_id}.mp4")
        write_mp4_with_sound(video, members["mp4"], members["flac"])
        write_wav(parent(self.folder / "audios" / f"{clip_id}.wav"), members["flac"])
        for number, rgb in enumerate(read_video(members["mp4"], sample.entry.num_frames)):
            _write_png(parent(self.folder / "images" / clip_id / f"{number:04d}.png"), rgb)
        points = face_geometry(sample).points
        for name, mask in masks(points, sample.entry.crop_px).items():
            _write_png(parent(self.folder / name / f"{clip_id}.png"), mask)
        self.clips.append((sample.entry.split, clip_id))
        return ""

    def finish(self) -> None:
        """Write the lists: Hallo2's of the training split, EchoMimic's of all."""
        train = [clip_id for split, clip_id in self.clips if split == "train"]
        others = [clip_id for split, clip_id in self.clips if split != "train"]
        lists = {
            "lipforge_stage1": [self._stage1(one) for one in train],
            "lipforge_stage2": [self._stage2(one) for one in train],
            "echomimic": [self._echomimic(one) for one in train + others],
        }
        for name, rows in lists.items():
            write_text(self.folder / "data" / f"{name}.json", canonical_json(rows) + "\n")

    def _path(self, *parts: str) -> str:
        return str(self.out.joinpath(*parts))

    def _stage1(self, clip_id: str) -> dict[str, str]:
        return {
            "image_path": self._path("images", clip_id),
            "mask_path": self._path("face_mask", f"{clip_id}.png"),
            "face_emb": self._path("face_emb", f"{clip_id}.pt"),
        }

    def _stage2(self, clip_id: str) -> dict[str, str]:
        return {
            "video_path": self._path("videos", f"{clip_id}.mp4"),
            "audio_path": self._path("audios", f"{clip_id}.wav"),
            "mask_path": self._path("face_mask", f"{clip_id}.png"),
            "sep_mask_border": self._path("sep_pose_mask", f"{clip_id}.png"),
            "sep_mask_face": self._path("sep_face_mask", f"{clip_id}.png"),
            "sep_mask_lip": self._path("sep_lip_mask", f"{clip_id}.png"),
            "face_emb_path": self._path("face_emb", f"{clip_id}.pt"),
            "vocals_emb_base_all": self._path("audio_emb", f"{clip_id}.pt"),
        }

    def _echomimic(self, clip_id: str) -> dict[str, str]:
        return {
            "image_path": self._path("images", clip_id),
            "video_path": self._path("videos", f"{clip_id}.mp4"),
            "audio_emb": self._path("audio_emb_whisper", f"{clip_id}.pt"),
        }


def masks(points_T68: NDArray[np.float64], size: int) -> Mapping[str, NDArray[np.uint8]]:
    """Return the masks of a clip, (size, size), 0 or 255: one for all its frames.

    Args:
        points_T68: (T, 68, 2) in pixels of the pictures.
    """
    face, lip = _hull(points_T68[:, FACE], size), _hull(points_T68[:, LIP], size)
    lip &= face
    return dict(zip(MASKS, (face, ~face, face & ~lip, lip), strict=True))


def _hull(points_TLC: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    flat = np.rint(points_TLC.reshape(-1, 2)).astype(np.int32)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(flat), 255)
    radius = max(1, round(MARGIN * float(np.ptp(flat[:, 0]))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, disc), np.uint8)


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    bgr = picture[:, :, ::-1] if picture.ndim == 3 else picture
    done, content = cv2.imencode(".png", np.ascontiguousarray(bgr))
    assert done, "OpenCV encodes every uint8 picture as PNG"
    path.write_bytes(content.tobytes())
