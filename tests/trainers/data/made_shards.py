"""Synthetic shards whose pixels and samples encode the number of their clip and frame."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.shards.tar import PackedSample, write_shard

SIZE_PX = 64
BLOCK_PX = 8
SAMPLES_PER_STEP = 8
"""The sound is a ramp that rises by 1 every so many samples."""


def numbered_frame(clip: int, frame: int) -> NDArray[np.uint8]:
    """(64, 64, 3): the bits of the frame's number in the first row of blocks, the clip's below."""
    picture = np.full((SIZE_PX, SIZE_PX, 3), 100, np.uint8)
    for row, number in enumerate((frame, clip)):
        for bit in range(SIZE_PX // BLOCK_PX):
            light = 235 if number >> bit & 1 else 20
            rows = slice(row * BLOCK_PX, (row + 1) * BLOCK_PX)
            picture[rows, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = light
    return picture


def frame_numbers(frames_FCHW: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Read (frame number, clip number) of each picture."""
    rows = []
    for row in (0, 1):
        blocks = frames_FCHW[:, 1, row * BLOCK_PX + 4, 4::BLOCK_PX] > 128
        rows.append([int((bits << np.arange(len(bits))).sum()) for bits in blocks.astype(int)])
    return rows[0], rows[1]


def ramp(num_frames: int) -> NDArray[np.int16]:
    """Audio whose samples encode their position."""
    return (np.arange(num_frames * 640) // SAMPLES_PER_STEP).astype(np.int16)


def write_sample(folder: Path, clip: int, num_frames: int) -> PackedSample:
    """Write the four members of one clip."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"clip{clip:03d}"
    files = {suffix: folder / f"{name}.{suffix}" for suffix in ("mp4", "flac", "json", "npz")}
    write_clip(files["mp4"], (numbered_frame(clip, k) for k in range(num_frames)), crf=14)
    write_flac(files["flac"], ramp(num_frames), 16_000)
    files["json"].write_text(json.dumps({"clip_id": name, "num_frames": num_frames}))
    files["npz"].write_bytes(b"never read" * 100)
    return PackedSample(name, "train", 0, num_frames, files)


def write_shards(folder: Path, lengths: Sequence[Sequence[int]]) -> Path:
    """Write one tar per list of frame counts; clips are numbered through."""
    clip = 0
    for shard, counts in enumerate(lengths):
        samples = []
        for count in counts:
            samples.append(write_sample(folder / "loose", clip, count))
            clip += 1
        write_shard(folder / "train" / f"train-{shard:04d}-000.tar", samples)
    return folder / "train"
