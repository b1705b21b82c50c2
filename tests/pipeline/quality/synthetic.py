"""Clips with known answers: a stiff head of 468 or 106 points, a picture, a sound."""

from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile

from pipeline.faces.schemas import INSIGHTFACE106, MESH468, LandmarkSchema
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ, Clip

CROP = 256
SCALE = 60.0
"""Pixels per distance between the eye centres."""


def head(schema: LandmarkSchema) -> np.ndarray:
    """Return (L, 3) of a frontal head around 0 in eye distances: x right, y down, z away."""
    rng = np.random.default_rng(1)
    turn = rng.uniform(0, 2 * np.pi, schema.num_points)
    radius = np.sqrt(rng.uniform(0, 1, schema.num_points))
    points = np.stack([radius * np.cos(turn), 0.4 + 1.3 * radius * np.sin(turn), 0 * turn], axis=1)
    (a, b), (c, d) = schema.left_eye_corners, schema.right_eye_corners
    points[[a, b, c, d], 0] = [-0.7, -0.3, 0.3, 0.7]
    points[[a, b, c, d], 1:] = 0
    points[list(schema.mouth_corners)] = [(-0.4, 1.12, -0.04), (0.4, 1.12, -0.04)]
    for upper, lower in schema.lip_pairs:
        points[[upper, lower]] = [(0, 1.1, 0), (0, 1.14, 0)]
    if schema.head_axes:
        points[[schema.head_axes.forehead, schema.chin]] = [(0, -1.0, 0.1), (0, 1.8, 0.1)]
        points[list(schema.head_axes.ears)] = [(-1.1, 0.2, 0.8), (1.1, 0.2, 0.8)]
    points[schema.nose_tip] = (0, 0.47, -0.716)
    return points


def turned(points: np.ndarray, yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    """Turn a head: pitch about its x axis first, then yaw, then roll; degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    about_y = [[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return points @ (np.array(about_z) @ about_y @ about_x).T


def track(
    schema: LandmarkSchema, num_frames: int, opening: float = 0.0, **angles: float
) -> np.ndarray:
    """Return (T, L, 3) source px: the head at one place, lips opening at 4 Hz by `opening`."""
    frames = np.repeat(head(schema)[None], num_frames, axis=0)
    wave = opening * np.sin(2 * np.pi * 4 * np.arange(num_frames) / FPS)
    for _, lower in schema.lip_pairs:
        frames[:, lower, 1] += wave
    frames = np.stack([turned(frame, **angles) for frame in frames]) * SCALE + (128, 100, 0)
    if schema is INSIGHTFACE106:
        frames[:, :, 2] = 0
    return frames.astype(np.float32)


def texture(seed: int = 0) -> np.ndarray:
    """Return a (256, 256) picture with detail at every scale, luma 30 to 220."""
    rng = np.random.default_rng(seed)
    layers = [
        np.kron(rng.uniform(-1, 1, (CROP // cell, CROP // cell)), np.ones((cell, cell)))
        for cell in (2, 4, 8, 16, 32, 64)
    ]
    return np.clip(125 + 30 * np.sum(layers, axis=0), 30, 220)


def moving(num_frames: int, seed: int = 0) -> np.ndarray:
    """Return (T, 256, 256): a texture whose brightness moves differently in every part."""
    rng = np.random.default_rng(seed + 100)
    time = np.arange(num_frames)[:, None, None] / FPS
    speed = np.kron(rng.uniform(0.2, 1.5, (4, 4)), np.ones((64, 64)))
    phase = np.kron(rng.uniform(0, 6, (4, 4)), np.ones((64, 64)))
    return texture(seed) + 25 * np.sin(2 * np.pi * speed * time + phase)


def with_caption(luma: np.ndarray, text: str = "BREAKING NEWS", at: int = 190) -> np.ndarray:
    """Write white letters with a black edge over every picture of (T, 256, 256), at a height."""
    written = luma.astype(np.uint8).copy()
    for picture in written:
        for grey, width in ((0, 8), (255, 2)):
            place, font = (10, at), cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(picture, text, place, font, 0.9, grey, width, cv2.LINE_AA)
    return written


def write_video(path: Path, luma: np.ndarray, crf: int = 14) -> Path:
    """Encode (T, 256, 256) luma of 0 to 255 as the clips are: H.264, limited range."""
    with av.open(str(path), "w") as container:
        options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width = stream.height = CROP
        stream.pix_fmt = "yuv420p"
        chroma = np.full((CROP // 2, CROP), 128, np.uint8)
        for picture in luma:
            limited = np.clip(np.rint(16 + picture * 219 / 255), 16, 235).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.vstack([limited, chroma]), format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@dataclass
class Recipe:
    """What to make a clip from; every part has a plain default."""

    schema: LandmarkSchema = MESH468
    num_frames: int = 50
    luma: np.ndarray | None = None
    points: np.ndarray | None = None
    audio: np.ndarray | None = None
    crf: int = 14
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def make_clip(folder: Path, name: str = "clip", recipe: Recipe | None = None) -> ClipFiles:
    """Write the three files of a clip."""
    made = recipe or Recipe()
    count = made.num_frames
    points = track(made.schema, count) if made.points is None else made.points
    audio = np.zeros(count * SAMPLE_RATE_HZ // FPS) if made.audio is None else made.audio
    arrays = {
        "landmarks": points,
        "matrices": np.repeat(np.eye(2, 3, dtype=np.float32)[None], count, axis=0),
        "scores": np.full(count, 0.9, np.float32),
        "boxes": np.zeros((count, 4), np.float32),
        "interpolated": np.zeros(count, bool),
    }
    write_video(folder / f"{name}.mp4", moving(count) if made.luma is None else made.luma, made.crf)
    soundfile.write(folder / f"{name}.flac", audio, SAMPLE_RATE_HZ)
    np.savez(folder / f"{name}.npz", **(arrays | made.arrays))
    return files_of(folder, name, made.schema, count)


def files_of(folder: Path, name: str, schema: LandmarkSchema, count: int) -> ClipFiles:
    """Return the item for files that lie in `folder`."""
    clip = Clip(
        clip_id=name,
        video_id="video",
        scene=0,
        track=0,
        start_frame=0,
        end_frame=count,
        num_frames=count,
        backend="litert",
        landmark_schema=schema.name,
        crop_px=CROP,
        face_px=120.0,
        landmark_score=0.9,
        interpolated_frames=0,
        num_faces_in_scene=1,
        artifact="key",
    )
    paths = {s: folder / f"{name}.{s}" for s in ("mp4", "npz", "flac")}
    return ClipFiles(clip=clip, video=paths["mp4"], landmarks=paths["npz"], audio=paths["flac"])
