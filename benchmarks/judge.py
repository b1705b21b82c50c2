"""Both judges' speed, the SyncNet judge's also as a ratio to the package syncnet-python.

python -m benchmarks.judge [--frames N] [--repeats N] [--threads N] [--device cuda]

Equal input in memory for both: pictures (224, 224, 3) and int16 sound. Timed is everything from
there to offset, confidence and distance: tensors, cepstra, network, distances. Left out, in the
package's favour, are the JPEG files and the `ffmpeg` runs that it needs and we do not. Its batch
size is its own (20). Runs alternate and the fastest of each counts; CPU seconds are printed too,
since they hardly notice who else uses the machine. Equal results are asserted.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from benchmarks.reference import SyncNetPython
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.syncnet.judge import SyncNetJudge
from pipeline.judge.syncnet.network import SyncNet
from tests.golden_rules import rule_frames, rule_sound
from tests.pipeline.judge.syncnet.golden_syncnet import TOLERANCE, state
from tests.pipeline.judge.talking import talking

Answer = TypeVar("Answer")
Seconds = tuple[float, float]
VARIANT = "tweaked"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=105, help="of the clip, at 25 fps")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"PyTorch {torch.__version__}, {options.threads} threads, {options.frames} frames")
    against_the_package(options.frames, options.repeats, options.threads)
    landmark(options.repeats)
    if options.device == "cuda":
        on_the_gpu(options.repeats)


def timed(run: Callable[[], Answer]) -> tuple[Answer, Seconds]:
    """Return the answer and (wall, CPU) seconds."""
    wall, spent = time.perf_counter(), time.process_time()
    answer = run()
    return answer, (time.perf_counter() - wall, time.process_time() - spent)


def fastest(times: list[Seconds]) -> Seconds:
    """Return the smallest wall and the smallest CPU seconds."""
    return min(wall for wall, _ in times), min(spent for _, spent in times)


def against_the_package(frames: int, repeats: int, threads: int) -> None:
    """Print the ratio to syncnet-python, at equal results."""
    pictures, sound = list(rule_frames(frames, 224, 224, 0)), rule_sound(frames / 25, 1)
    package, judge = SyncNetPython(state(VARIANT)), SyncNetJudge(network(), threads=threads)
    theirs, ours = [], []
    for _ in range(repeats):
        (offset, confidence, distance), took = timed(lambda: package.score(pictures, sound))
        theirs.append(took)
        result, took = timed(lambda: judge.score(pictures, sound))
        ours.append(took)
        assert result.offset_frames == offset, (result.offset_frames, offset)
        assert abs(result.confidence - confidence) < TOLERANCE[VARIANT]
        assert abs(result.min_distance - distance) < TOLERANCE[VARIANT]
    (their_wall, their_spent), (wall, spent) = fastest(theirs), fastest(ours)
    show("syncnet, package", frames - 5, their_wall, their_spent)
    show("syncnet, ours", frames - 5, wall, spent)
    print(f"equal results: offset {offset}, confidence {confidence:.4f}, distance {distance:.4f}")
    print(f"ratio package / ours: {their_wall / wall:.2f} wall, {their_spent / spent:.2f} CPU")


def show(name: str, windows: int, wall: float, spent: float) -> None:
    """Print one line of the table."""
    each = f"{1000 * wall / windows:8.3f} ms wall, {1000 * spent / windows:8.3f} ms CPU"
    print(f"{name:20} {windows / wall:9.1f} windows/s, per window {each}")


def network() -> SyncNet:
    """Return the network with the golden weights; speed does not depend on them."""
    built = SyncNet()
    built.load_state_dict(state(VARIANT))
    return built.eval()


def landmark(repeats: int) -> None:
    """Print the landmark judge's speed, which is on one thread whatever is asked for."""
    landmarks, sound = talking(500)
    judge = LandmarkJudge.load()
    judge.score(landmarks, sound)
    answers = [timed(lambda: judge.score(landmarks, sound)) for _ in range(repeats)]
    wall, spent = fastest([took for _, took in answers])
    show("landmark, one thread", len(answers[0][0].distances), wall, spent)


def on_the_gpu(repeats: int, frames: int = 5000) -> None:
    """Print windows per second on a GPU, from frames in memory to scores."""
    pictures, sound = rule_frames(250, 224, 224, 0), np.tile(rule_sound(10, 1), frames // 250)
    clip = [pictures[at % 250] for at in range(frames)]
    for precision in ("float32", "bfloat16"):
        run = partial(SyncNetJudge(network(), "cuda", precision).score, clip, sound)
        answers = [timed(run) for _ in range(repeats + 1)]
        wall, _ = fastest([took for _, took in answers[1:]])  # the first one warmed up
        speed = (frames - 5) / wall
        print(f"syncnet {torch.cuda.get_device_name()}, {precision}: {speed:.0f} windows/s")


if __name__ == "__main__":
    main()
