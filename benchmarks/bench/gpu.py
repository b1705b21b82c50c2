"""What a GPU serves: InsightFace over frames of several films, in batches too; the SyncNet judge.

Runs where CUDA is there, else says so. InsightFace: a pack of `--pack`'s usual place is needed
(`params.yaml`: faces.insightface_name, insightface_root). Frames of several films are looked at in
turn by the backend as `faces` uses it; the CPU does the same frames in the same run, and the boxes
are compared. Frames per second are wall clock, from frames in memory to boxes and landmarks.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime
import torch

from benchmarks import judge
from benchmarks.bench.gpu_batches import BATCH, CALLS, batches
from benchmarks.bench.inputs import HD_CLIPS, Picture, clip_files, pictures
from benchmarks.bench.rows import AT_LEAST, Kind, Options, Row, Target
from pipeline.errors import WeightsError
from pipeline.faces.insightface import DETECT_PX, TRACK_PX, InsightFaceBackend, pack_files
from pipeline.judge.syncnet.judge import SyncNetJudge
from pipeline.params.curation import load_params
from pipeline.params.environment import environment
from tests.golden_rules import rule_frames, rule_sound

KIND = Kind(
    "gpu",
    (
        Row("gpu", "InsightFace on CUDA / on the CPU", "x", Target(1.0, AT_LEAST)),
        Row("gpu", "InsightFace's networks, 8 frames a call / one", "x", Target(1.0, AT_LEAST)),
        Row("gpu", "SyncNet judge on CUDA / on the CPU", "x", Target(1.0, AT_LEAST)),
    ),
)
FILMS, FRAMES_PER_FILM = 4, 25
JUDGED_FRAMES = 250
LANDMARKS_PX = 192
"""Input of 2d106."""
MAX_BOX_PX, MAX_DISTANCE = 1.0, 0.02
"""How far a box and a distance may be from those of the CPU: both round in another way."""


def on_the_gpu(options: Options) -> list[Row]:
    """Measure all rows, or say why not."""
    if not torch.cuda.is_available():
        return KIND.not_run("no GPU")
    faces, batched, judged = KIND.rows
    return [_insightface(faces, options), _batches(batched, options), _syncnet(judged, options)]


def interleaved(films: Sequence[Path], each: int) -> list[Picture]:
    """Return the first frames of several films, one of each film in turn."""
    shown = [list(islice(pictures(path), each)) for path in films]
    return [frame for turn in zip(*shown, strict=False) for frame in turn]


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Return the shortest wall clock after one run that warms up."""
    run()
    found = []
    for _ in range(repeats):
        before = time.perf_counter()
        run()
        found.append(time.perf_counter() - before)
    return min(found)


def _insightface(row: Row, options: Options) -> Row:
    films = clip_files(options.clips, HD_CLIPS)[:FILMS]
    if not films:
        return _without(row, f"no clips in {options.clips}")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return _without(row, "onnxruntime has no CUDA here: pip install 'lipforge[gpu]'")
    frames = interleaved(films, FRAMES_PER_FILM)
    try:
        gpu, cpu = _backend("0"), _backend("cpu")
    except WeightsError as error:
        return _without(row, str(error))
    found = [[one.box for one in backend.detect(f)] for backend in (gpu, cpu) for f in frames]
    held = all(map(boxes_agree, found[: len(frames)], found[len(frames) :]))
    fast, slow = (seconds(partial(look, b, frames), options.repeats) for b in (gpu, cpu))
    note = f"{len(frames) / fast:.0f} frames/s on {torch.cuda.get_device_name()}"
    return _row(row, slow / fast, options, held, f"{note}, frames of {len(films)} films in turn")


def _batches(row: Row, options: Options) -> Row:
    films = clip_files(options.clips, HD_CLIPS)[:BATCH]
    if not films or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return _without(row, "no clips, or onnxruntime has no CUDA here")
    faces = load_params().faces
    try:
        detector, landmarks = pack_files(faces.insightface_name, faces.insightface_root)
    except WeightsError as error:
        return _without(row, str(error))
    frames = interleaved(films, BATCH)
    sides = ((detector, DETECT_PX[0]), (detector, TRACK_PX[0]), (landmarks, LANDMARKS_PX))
    found = [batches(network, px, frames, environment().gpu) for network, px in sides]
    ratio = sum(one.one_s for one in found) / sum(one.batch_s for one in found)
    each = ", ".join(f"{px} px {one.ratio:.1f}" for (_, px), one in zip(sides, found, strict=True))
    check = "a frame's result is the same bits beside other frames"
    held = all(one.independent for one in found)
    return Row(row.name, row.what, row.unit, row.target, ratio, CALLS, check, held, each)


def look(backend: Any, frames: Sequence[Picture]) -> None:
    """Find all faces of the frames and place their landmarks."""
    for frame in frames:
        for one in backend.detect(frame):
            backend.landmarks(frame, one)


def boxes_agree(one: Sequence[Sequence[float]], two: Sequence[Sequence[float]]) -> bool:
    """Return whether there are as many boxes, each within MAX_BOX_PX of the other's."""
    return len(one) == len(two) and bool(
        np.all(np.abs(np.array(one) - np.array(two)) <= MAX_BOX_PX)
    )


def _backend(device: str) -> Any:
    faces = load_params().faces
    with patch.dict("os.environ", {"LIPFORGE_GPU": device}):
        return InsightFaceBackend(faces.insightface_name, faces.insightface_root)


def _syncnet(row: Row, options: Options) -> Row:
    frames = list(rule_frames(JUDGED_FRAMES, 224, 224, 0))
    sound = rule_sound(JUDGED_FRAMES / 25, 1)
    judges = [SyncNetJudge(judge.network(), device) for device in ("cuda", "cpu")]
    answers = [one.score(frames, sound) for one in judges]
    held = bool(
        answers[0].offset_frames == answers[1].offset_frames
        and abs(answers[0].min_distance - answers[1].min_distance) <= MAX_DISTANCE
    )
    fast, slow = (seconds(partial(one.score, frames, sound), options.repeats) for one in judges)
    note = f"{(JUDGED_FRAMES - 5) / fast:.0f} windows/s on {torch.cuda.get_device_name()}"
    return _row(row, slow / fast, options, held, note)


def _row(row: Row, value: float, options: Options, held: bool, note: str) -> Row:
    check = "results equal to the CPU's within rounding"
    runs = options.repeats
    return Row(row.name, row.what, row.unit, row.target, value, runs, check, held, note)


def _without(row: Row, why: str) -> Row:
    return Row(row.name, row.what, row.unit, row.target, note=f"not run: {why}")
