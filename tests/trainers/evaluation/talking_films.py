"""Drawn faces whose mouths follow the loudness of their sound, as arrays and as shards.

The opening is a random smooth curve, the sound is noise of that strength, and the landmarks say the
opening exactly. A dubber can so be told from another by what its mouths follow.
"""

import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import MESH468
from pipeline.media.encode import write_clip
from pipeline.media.flac import write_flac
from pipeline.shards.tar import PackedSample, write_shard
from trainers.evaluation.speaking_films import SpeakingFilm

SIZE_PX = 64
EYES = 0.5
"""Distance of the outer eye corners in the landmarks."""
MOUTH_ROW, MOUTH_HALF_WIDTH = 48, 9
MOST = 0.3
"""Largest opening, in distances of the eyes."""
ROWS_PER_OPENING = 8 / MOST
"""The widest mouth is 16 pixels high."""


def opening_curve(frames: int, seed: int) -> NDArray[np.float64]:
    """Return (T,) a smooth curve in 0 ... 0.3, of about 2 openings per second."""
    rng = np.random.default_rng(seed)
    kernel = np.hanning(11)
    rough = np.convolve(rng.normal(size=frames + 20), kernel / kernel.sum(), "same")[10:-10]
    return MOST * (rough - rough.min()) / (rough.max() - rough.min())


def sound_of(opening_T: NDArray[np.float64], seed: int) -> NDArray[np.int16]:
    """Return (T * 640,) noise whose strength follows the opening."""
    strength = np.repeat(0.02 + opening_T / MOST, 640)
    noise = np.random.default_rng(seed + 1000).normal(size=len(strength))
    return np.clip(6000 * strength * noise, -32000, 32000).astype(np.int16)


def opening_of(audio_N: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return (T,) the opening that a sound of `sound_of` was made from, up to noise."""
    power = (audio_N.astype(np.float64).reshape(-1, 640) / 6000) ** 2
    return np.clip((np.sqrt(power.mean(axis=1)) - 0.02) * MOST, 0, None)


def with_mouths(
    frames_TCHW: NDArray[np.uint8], opening_T: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return the frames with painted mouths of the given openings; nothing else changes."""
    made = frames_TCHW.copy()
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    lips = (np.abs(rows - MOUTH_ROW) <= 11) & (np.abs(columns - 31.5) <= MOUTH_HALF_WIDTH + 2)
    for frame_CHW, opening in zip(made, opening_T, strict=True):
        height = max(float(opening) * ROWS_PER_OPENING, 0.3)
        inside = ((rows - MOUTH_ROW) / height) ** 2 + ((columns - 31.5) / MOUTH_HALF_WIDTH) ** 2
        dark = np.clip((1.0 - inside) * height, 0, 1)
        skin = np.array([190, 150, 130])[:, None, None]
        painted = skin * (1 - dark) + np.array([60, 20, 20])[:, None, None] * dark
        frame_CHW[:, lips] = painted[:, lips].astype(np.uint8)
    return made


def face(frames: int, seed: int) -> NDArray[np.uint8]:
    """Return (T, 3, 64, 64): a face with flickering hair, without a mouth."""
    rng = np.random.default_rng(seed + 2000)
    pictures = np.empty((frames, 3, SIZE_PX, SIZE_PX), np.uint8)
    pictures[:] = np.array([190, 150, 130], np.uint8)[:, None, None]
    pictures[:, :, :10] = rng.integers(60, 90, (frames, 3, 10, SIZE_PX))
    pictures[:, :, 20:24, 14:24] = pictures[:, :, 20:24, 40:50] = 40
    return pictures


def film(frames: int, seed: int) -> SpeakingFilm:
    """Return a film."""
    opening_T = opening_curve(frames, seed)
    pictures = with_mouths(face(frames, seed), opening_T)
    geometry = np.random.default_rng(seed).normal(size=(frames, 14))
    return SpeakingFilm(f"film{seed}", pictures, sound_of(opening_T, seed), opening_T, geometry)


def landmarks(opening_T: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (T, 468, 3) whose opening is the given one."""
    points = np.zeros((len(opening_T), 468, 3), np.float32)
    points[:, MESH468.outer_eye_corners[1], 0] = EYES
    points[:, MESH468.mouth_corners[1], 0] = EYES
    for _, lower in MESH468.lip_pairs:
        points[:, lower, 1] = opening_T * EYES
    return points


def write_film(
    folder: Path, name: str, frames: int, seed: int, sound_seed: int | None = None
) -> PackedSample:
    """Write the four members of a film, with its own sound or that of the film of another seed."""
    folder.mkdir(parents=True, exist_ok=True)
    one = film(frames, seed)
    files = {suffix: folder / f"{name}.{suffix}" for suffix in ("mp4", "flac", "json", "npz")}
    write_clip(files["mp4"], (frame.transpose(1, 2, 0) for frame in one.frames), crf=14)
    heard = one if sound_seed is None else film(frames, sound_seed)
    write_flac(files["flac"], heard.audio, 16_000)
    facts = {"clip_id": name, "num_frames": frames, "clip": {"landmark_schema": "mesh468"}}
    files["json"].write_text(json.dumps(facts))
    stored = io.BytesIO()
    matrices = np.tile(np.eye(3)[:2], (frames, 1, 1))
    np.savez(stored, landmarks=landmarks(one.opening), matrices=matrices)
    files["npz"].write_bytes(stored.getvalue())
    return PackedSample(name, "train", 0, frames, files)


def write_films(
    folder: Path, split: str, lengths: list[int], seed: int = 0, sound_shift: int = 0
) -> Path:
    """Write one shard of films and return its folder; names are clip000, clip001, ...

    Args:
        sound_shift: each has the sound of the film so many places behind it.
    """
    films = len(lengths)
    samples = [
        write_film(
            folder / f"loose-{split}",
            f"clip{k:03d}",
            frames,
            seed + k,
            seed + (k + sound_shift) % films,
        )
        for k, frames in enumerate(lengths)
    ]
    write_shard(folder / split / f"{split}-0000-000.tar", samples)
    return folder / split
