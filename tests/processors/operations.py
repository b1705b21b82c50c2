"""What the curation stages compute, operation by operation, on equal inputs: arrays to a file.

`python -m tests.processors.operations FILM INPUTS OUTPUT` is started once per processor class.
INPUTS is written by the first one that finds it absent, so that every class works on the same
numbers and a difference of one operation is not handed on to the next.
"""

import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.faces import alignment, continuity, smoothing
from pipeline.faces.litert import LiteRTBackend
from pipeline.faces.schemas import MESH468
from pipeline.judge.curve import pair_distances
from pipeline.judge.drift import drift_frames
from pipeline.judge.landmark.features import log_mel, mouth_shape
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.media.audio import decode_audio
from pipeline.media.encode import write_clip
from pipeline.media.film_picture import BT709, FilmPicture
from pipeline.media.frames import film_frames
from pipeline.quality import cover, hashes, landmarks, picture, pose, speech

FRAMES = 12
SECONDS = 3
Arrays = Mapping[str, Any]


def make_inputs(film: Path) -> dict[str, Any]:
    """Return decoded planes, faces and sound of the first frames, as this processor sees them."""
    pictures: list[Any] = [frame.image for frame in islice(film_frames(film), FRAMES)]
    backend = LiteRTBackend()
    found = [backend.detect(one) for one in pictures]
    points: list[Any] = []
    last: Any = found[0][0]
    for one in pictures:
        face = backend.landmarks(one, last)
        points.append(face.points)
        last = face.points
    matrices = [alignment.similarity(backend.anchors(one)) for one in points]
    crops = [alignment.aligned(p, m) for p, m in zip(pictures, matrices, strict=True)]
    rng = np.random.default_rng(0)
    return {
        "luma": np.stack([one.planes[0] for one in pictures]),
        "blue": np.stack([one.planes[1] for one in pictures]),
        "red": np.stack([one.planes[2] for one in pictures]),
        "points": np.stack(points),
        "matrices": np.stack(matrices),
        "crops": np.stack(crops),
        "sound": decode_audio(film, 0.0, SECONDS * 16000),
        "noise": rng.standard_normal((300, 300)),
        "turning": rng.standard_normal((60, 468, 3)).astype(np.float32) * 2 + points[0],
    }


def decoding(film: Path, inputs: Arrays) -> Arrays:
    """Decode picture and sound again."""
    pictures: list[Any] = [frame.image for frame in islice(film_frames(film), FRAMES)]
    planes = [np.concatenate([plane.ravel() for plane in one.planes]) for one in pictures]
    return {
        "decoded picture": np.stack(planes),
        "decoded sound": decode_audio(film, 0.0, SECONDS * 16000),
    }


def pixels(film: Path, inputs: Arrays) -> Arrays:
    """Reduce, warp and align the pictures."""
    pictures, matrices = _pictures(inputs), inputs["matrices"]
    grey = [one.grey_warped(m, (96, 96)) for one, m in zip(pictures, matrices, strict=True)]
    both = list(zip(pictures, matrices, strict=True))
    return {
        "reduced picture": np.stack([one.reduced((192, 192)) for one in pictures]),
        "reduced picture, odd size": np.stack([one.reduced((171, 96)) for one in pictures]),
        "warped picture": np.stack([one.warped(m, (192, 192)) for one, m in both]),
        "warped grey": np.stack(grey),
        "crop": np.stack([alignment.aligned(one, m) for one, m in both]),
        "descriptor of a face": np.stack([continuity._descriptor(one, m) for one, m in both]),
    }


def faces(film: Path, inputs: Arrays) -> Arrays:
    """Run the three networks on equal pictures; then track from the first face on."""
    backend, pictures = LiteRTBackend(), _pictures(inputs)
    small = [one.reduced((192, 192)).astype(np.float32) / 127.5 - 1 for one in pictures]
    close = [one.reduced((128, 128)).astype(np.float32) / 127.5 - 1 for one in pictures]
    raw = [backend._face._network(one) for one in small]
    near = [backend._close._network(one) for one in close]
    scaled = [one.reduced((192, 192)).astype(np.float32) / np.float32(255) for one in pictures]
    mesh = [backend._mesh(one) for one in scaled]
    found = [backend.detect(one) for one in pictures]
    placed = [
        backend.landmarks(one, points)
        for one, points in zip(pictures, inputs["points"], strict=True)
    ]
    return {
        "BlazeFace, boxes": np.stack([one[0] for one in raw]),
        "BlazeFace, logits": np.stack([one[1] for one in raw]),
        "BlazeFace close, boxes": np.stack([one[0] for one in near]),
        "Face Mesh, points": np.stack([one[0] for one in mesh]),
        "detections, px": np.array([d.box for one in found for d in one]),
        "detections, scores": np.array([d.score for one in found for d in one]),
        "landmarks, px": np.stack([one.points for one in placed]),
        "landmarks, scores": np.array([one.score for one in placed]),
    }


def geometry(film: Path, inputs: Arrays) -> Arrays:
    """Steady the anchors and compute the warp matrices."""
    guides = MESH468.crop_guides(inputs["turning"])
    smoothed = smoothing.steadied(guides, 2.0)
    return {
        "guides": guides,
        "steadied anchors": smoothed,
        "warp matrices": np.stack([alignment.similarity(one) for one in smoothed]),
    }


def judge(film: Path, inputs: Arrays) -> Arrays:
    """Run the landmark judge on equal landmarks and sound."""
    points, sound = inputs["turning"], inputs["sound"]
    one = LandmarkJudge.load()
    shape, mel = mouth_shape(points), log_mel(sound, len(points))
    picture_WD, sound_WD = one.embed_features(shape, mel)
    result = one.judge(picture_WD, sound_WD)
    return {
        "mouth shape": shape,
        "log-mel": mel,
        "judge, picture": picture_WD,
        "judge, sound": sound_WD,
        "distances": pair_distances(picture_WD, sound_WD),
        "curve": result.curve,
        "probability": np.array([result.probability]),
        "drift": np.array([drift_frames(np.tile(result.distances, (3, 1)))]),
    }


def quality(film: Path, inputs: Arrays) -> Arrays:
    """Measure picture, head and sound."""
    points = inputs["turning"].astype(np.float64)
    luma = inputs["crops"][:, :256]
    small = np.stack([cv2.resize(one, (64, 64), interpolation=cv2.INTER_AREA) for one in luma])
    planes = np.stack([small] * 3, axis=1)
    mask = np.ones((256, 256), np.bool_)
    pictures = picture.Pictures(planes, dict(enumerate(luma)))
    masks = dict.fromkeys(range(len(luma)), mask)
    squares = np.stack([alignment.to_square(one, 256) for one in inputs["matrices"]])
    sound = (inputs["sound"] / 32768).astype(np.float32)
    voice = speech.SpeechDetector().probabilities(sound)
    still = np.zeros(len(points), np.bool_)
    return {
        "sharpness": np.array([picture.sharpness(pictures, masks)]),
        "change by frame": picture.changes(pictures, squares, 256),
        "cover": cover.CoverDetector().probabilities(planes[:, :, 8:56, 8:56]),
        "pose": pose.head_pose(points, MESH468),
        "jitter": np.array([landmarks.jitter(points, still, MESH468)]),
        "mouth movement": np.array([landmarks.mouth_movement(points, still, MESH468)]),
        "speech probability": voice,
        "SNR": np.array([speech.snr_db(sound, speech.speech_windows(voice, 0.5))]),
        "picture hash": np.frombuffer(hashes.picture_hash(small).encode(), np.uint8),
        "audio hash": np.frombuffer(hashes.audio_hash(sound).encode(), np.uint8),
    }


def encoding(film: Path, inputs: Arrays) -> Arrays:
    """Encode equal crops with x264."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path, list(inputs["crops"]), 14)
        return {"x264 bytes": np.frombuffer(path.read_bytes(), np.uint8)}


def arithmetic(film: Path, inputs: Arrays) -> Arrays:
    """Compute what NumPy and torch leave to the processor."""
    import torch

    x = inputs["noise"]
    small, number = x.astype(np.float32), torch.from_numpy(x.astype(np.float32))
    kernel = number[:48, :27].reshape(16, 3, 3, 9)[..., :3].contiguous()
    image = number[:, :300].reshape(1, 1, 300, 300).expand(1, 3, 300, 300)
    return {
        "numpy exp float64": np.exp(x),
        "numpy exp float32": np.exp(small),
        "numpy log float64": np.log(np.abs(x) + 1e-3),
        "numpy sin float64": np.sin(x),
        "numpy arctan2 float64": np.arctan2(x, x.T),
        "numpy hypot": np.hypot(x, x.T),
        "numpy sum float32": small.sum(axis=1),
        "numpy mean float64": x.mean(axis=1),
        "numpy einsum float64": np.einsum("wd,wd->w", x, x),
        "numpy matmul float64": x @ x.T,
        "numpy matmul float32": small @ small.T,
        "numpy rfft": np.abs(np.fft.rfft(x)),
        "python math.exp": np.array([math.exp(value) for value in x[0]]),
        "python math.sin": np.array([math.sin(value) for value in x[0]]),
        "python math.atan2": np.array([math.atan2(a, b) for a, b in zip(x[0], x[1], strict=True)]),
        "torch matmul": (number @ number.T).numpy(),
        "torch conv2d": torch.nn.functional.conv2d(image, kernel).numpy(),
        "torch exp": torch.exp(number).numpy(),
        "torch sum": number.sum(dim=1).numpy(),
    }


def _pictures(inputs: Arrays) -> list[FilmPicture]:
    planes = zip(inputs["luma"], inputs["blue"], inputs["red"], strict=True)
    return [FilmPicture(one, BT709) for one in planes]


PARTS: tuple[Callable[[Path, Arrays], Arrays], ...] = (
    decoding,
    pixels,
    faces,
    geometry,
    encoding,
    judge,
    quality,
    arithmetic,
)


def main(film: Path, stored: Path, out: Path) -> None:
    """Write all operations' results."""
    cv2.setNumThreads(1)
    if not stored.exists():
        np.savez(stored, **make_inputs(film))
    inputs = dict(np.load(stored))
    results: dict[str, Any] = {}
    for part in PARTS:
        results |= part(film, inputs)
    np.savez(out, **{name.replace("/", " per "): value for name, value in results.items()})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
