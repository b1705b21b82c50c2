"""Two tars with three short clips, made in a second: what an export reads."""

import json
from pathlib import Path

import numpy as np

from pipeline.digest import canonical_json, file_sha256
from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.shards.tar import MEMBERS, write_tar

CLIPS = {"train": {"aaaa": 48, "bbbb": 20}, "val": {"cccc": 48}}
SIZE = 64


def facts_of(clip_id: str, split: str, num_frames: int) -> dict[str, object]:
    """Return the JSON of a clip: what `pipeline.shards.sample` writes, shortened."""
    video = dict.fromkeys(("speaker", "language", "url"), "")
    quality = ("speech_share", "snr_db", "sharpness", "yaw_deg", "pitch_deg", "roll_deg")
    return {
        "clip_id": clip_id, "split": split, "group": "source:x", "num_frames": num_frames,
        "fps": 25, "sample_rate_hz": 16000, "licence": "", "part_start_frame": 0,
        "part_end_frame": num_frames, "offset_applied_frames": 1.5, "drift_applied_frames": 0.0,
        "video": {**video, "uri": "a film.mp4", "video_id": "0" * 64, "remarks": []},
        "clip": {"crop_px": SIZE, "face_px": 40.0, "landmark_schema": "mesh468"},
        "rescored": {"judge": "landmark", "confidence": 0.5, "offset_subframe": 0.0},
        "quality": dict.fromkeys(quality, 1.0),
        "sync": {"drift_frames": None, "curve": []},
    }  # fmt: skip


def make_shards(root: Path, clips: dict[str, dict[str, int]] = CLIPS) -> Path:
    """Write `shards/index.json` and one tar per split."""
    entries = []
    for split, named in clips.items():
        members = [
            (f"{clip_id}.{suffix}", _files(root / "made", clip_id, split, count)[suffix])
            for clip_id, count in named.items()
            for suffix in MEMBERS
        ]
        name = f"{split}/{split}-0000-000.tar"
        path = root / "shards" / name
        write_tar(path, members)
        entries.append({"name": name, "split": split, "sha256": file_sha256(path)})
    (root / "shards" / "index.json").write_text(json.dumps({"shards": entries}), "utf-8")
    return root / "shards"


def _files(folder: Path, clip_id: str, split: str, num_frames: int) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = {suffix: folder / f"{clip_id}.{suffix}" for suffix in MEMBERS}
    rng = np.random.default_rng(num_frames)
    pictures = (
        np.full((SIZE, SIZE, 3), 5 * number % 250, np.uint8) for number in range(num_frames)
    )
    write_clip(files["mp4"], pictures, crf=20)
    write_flac(files["flac"], rng.integers(-9000, 9000, num_frames * 640, np.int16), 16000)
    files["json"].write_text(canonical_json(facts_of(clip_id, split, num_frames)), "utf-8")
    points = rng.uniform(20, 100, (num_frames, 468, 3)).astype(np.float32)
    matrices = np.tile([[0.5, 0, 0], [0, 0.5, 0]], (num_frames, 1, 1))
    np.savez_compressed(files["npz"], landmarks=points, matrices=matrices)
    return files
