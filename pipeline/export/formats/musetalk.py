"""MuseTalk 1.5: `dataset/HDTF/` below the folder that training is started in."""

from typing import ClassVar

import numpy as np

from pipeline.atomic import write_json
from pipeline.export.contents import ExportSample
from pipeline.export.formats.file_lists import SOUND_INSIDE, Listed, parent
from pipeline.export.geometry import face_geometry
from pipeline.export.landmarks68 import conversion_name
from pipeline.export.media import write_mp4_with_sound, write_wav

ROOT = "dataset/HDTF"
MIN_FACE_PX = 150
STAGE2_FRAMES, STAGE2_FACE_PX = 160, 200


class MuseTalk(Listed):
    """Per clip `mp4`, `wav` and `meta/<clip>.json`; `train.txt`, `val.txt` with a header line."""

    name: ClassVar[str] = "musetalk"
    min_frames: ClassVar[int] = 10
    notes: ClassVar[tuple[str, ...]] = (
        SOUND_INSIDE,
        "landmark_list holds whole pixels and is converted to 68 points, not detected by DWPose",
        "MuseTalk draws the crop's margin at random and prefers whole frames: the clip is all "
        "there is around the face",
        f"its second stage takes only clips of {STAGE2_FRAMES} frames whose face is "
        f"{STAGE2_FACE_PX} px wide: `stage2` in the meta file says which",
        "the test split has a list that MuseTalk does not read",
    )

    def add(self, sample: ExportSample) -> str:
        """Write one clip, unless its face is too narrow."""
        face, clip_id = face_geometry(sample), sample.entry.clip_id
        if face.width_px < MIN_FACE_PX:
            return f"face_narrow: {face.width_px} px, needs {MIN_FACE_PX}"
        members, size = sample.members, [sample.entry.crop_px, sample.entry.crop_px]
        video, sound = f"{ROOT}/mp4/{clip_id}.mp4", f"{ROOT}/wav/{clip_id}.wav"
        write_mp4_with_sound(parent(self.folder / video), members["mp4"], members["flac"])
        write_wav(parent(self.folder / sound), members["flac"])
        left, top, right, bottom = face.box
        meta = {
            "mp4_path": f"./{video}",
            "wav_path": f"./{sound}",
            "video_size": size,
            "face_size": [bottom - top, right - left],
            "frames": sample.entry.num_frames,
            "face_list": face.boxes.tolist(),
            "landmark_list": np.rint(face.points).astype(np.int64).tolist(),
            "isvalid": True,
            "landmarks": conversion_name(sample.entry.landmark_schema),
            "stage2": _fits_stage2(sample.entry.num_frames, face.width_px),
        }
        write_json(self.folder / ROOT / "meta" / f"{clip_id}.json", meta)
        self.list(sample.entry.split, f"{clip_id}.json")
        return ""

    def finish(self) -> None:
        """Write the lists; their first line is skipped by the reader."""
        self.write_lists(self.folder / ROOT, header="meta")


def _fits_stage2(num_frames: int, width_px: int) -> bool:
    return num_frames >= STAGE2_FRAMES and width_px >= STAGE2_FACE_PX
