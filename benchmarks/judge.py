"""Both judges' speed, the SyncNet judge's also as a ratio to the package syncnet-python.

python -m benchmarks.judge [--frames N] [--repeats N] [--threads N] [--device cuda]

Equal input in memory for both: pictures (224, 224, 3) and int16 sound. Timed is everything from
there to offset, confidence and distance: tensors, cepstra, network, distances. Left out, in the
package's favour, are the JPEG files and the `ffmpeg` runs that it needs and we do not. Its batch
size is its own (20). Both run once unmeasured, then alternate; fastest and median of each are
printed, as wall, as CPU seconds (user and system), and as CPU seconds in user mode alone: the
package's large tensors are taken from the operating system anew at every layer, which costs
system time that depends on the machine's settings. Equal results are asserted.

The processor matters: with `ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2` before the
command both compute as on one without AVX-512.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
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
VARIANT = "tweaked"


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one run."""

    wall: float
    cpu: float
    """User and system mode, all threads."""
    user: float
    """User mode alone."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs of both on equal input; every run gave equal results."""

    windows: int
    package: tuple[Cost, ...]
    ours: tuple[Cost, ...]
    offset_frames: int
    confidence_error: float
    """Largest difference of LSE-C between the two."""
    distance_error: float
    """Largest difference of LSE-D between the two."""

    @property
    def wall_ratio(self) -> float:
        """Median wall time of the package by ours."""
        return median(self.package).wall / median(self.ours).wall

    @property
    def cpu_ratio(self) -> float:
        """Median CPU time of the package by ours."""
        return median(self.package).cpu / median(self.ours).cpu


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=105, help="of the clip, at 25 fps")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    print(f"{processor()}, {torch.backends.cpu.get_cpu_capability()}, PyTorch {torch.__version__}")
    print(f"{options.threads} threads, {options.frames} frames, {options.repeats} runs")
    against_the_package(options.frames, options.repeats, options.threads)
    landmark(options.repeats)
    if options.device == "cuda":
        on_the_gpu(options.repeats)


def processor() -> str:
    """Return the processor's name as Linux gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def timed(run: Callable[[], Answer]) -> tuple[Answer, Cost]:
    """Return the answer and what it cost."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    answer = run()
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return answer, Cost(wall, user + system, user)


def fastest(costs: tuple[Cost, ...]) -> Cost:
    """Return the smallest of each."""
    return _each(costs, min)


def median(costs: tuple[Cost, ...]) -> Cost:
    """Return the median of each."""
    return _each(costs, statistics.median)


def _each(costs: tuple[Cost, ...], of: Callable[[list[float]], float]) -> Cost:
    wall, cpu, user = ([getattr(c, name) for c in costs] for name in ("wall", "cpu", "user"))
    return Cost(of(wall), of(cpu), of(user))


def measure(threads: int, frames: int, repeats: int) -> Comparison:
    """Run the package and our judge in turn, after one unmeasured run of each.

    Raises:
        NotInstallableError: the package cannot be had.
        AssertionError: the results are not equal.
    """
    pictures, sound = list(rule_frames(frames, 224, 224, 0)), rule_sound(frames / 25, 1)
    package, judge = SyncNetPython(state(VARIANT)), SyncNetJudge(network(), threads=threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        runs = [
            (
                timed(lambda: package.score(pictures, sound)),
                timed(lambda: judge.score(pictures, sound)),
            )
            for _ in range(repeats + 1)
        ]
    finally:
        torch.set_num_threads(before)
    confidence = max(abs(ours.confidence - theirs[1]) for (theirs, _), (ours, _) in runs)
    distance = max(abs(ours.min_distance - theirs[2]) for (theirs, _), (ours, _) in runs)
    assert all(ours.offset_frames == theirs[0] for (theirs, _), (ours, _) in runs)
    assert max(confidence, distance) < TOLERANCE[VARIANT], (confidence, distance)
    package_costs, our_costs = (tuple(one[at][1] for one in runs[1:]) for at in (0, 1))
    offset = runs[0][1][0].offset_frames
    return Comparison(frames - 5, package_costs, our_costs, offset, confidence, distance)


def against_the_package(frames: int, repeats: int, threads: int) -> None:
    """Print the ratios to syncnet-python, at equal results."""
    found = measure(threads, frames, repeats)
    for name, costs in (("syncnet, package", found.package), ("syncnet, ours", found.ours)):
        show(f"{name}, fastest", found.windows, fastest(costs))
        show(f"{name}, median", found.windows, median(costs))
    print(
        f"equal results: offset {found.offset_frames}, differences {found.confidence_error:.1e} "
        f"of LSE-C, {found.distance_error:.1e} of LSE-D"
    )
    for name, of in (("fastest", fastest), ("median", median)):
        theirs, ours = of(found.package), of(found.ours)
        print(
            f"ratio package / ours, {name}: {theirs.wall / ours.wall:.2f} wall, "
            f"{theirs.cpu / ours.cpu:.2f} CPU, {theirs.user / ours.user:.2f} user mode alone"
        )


def show(name: str, windows: int, cost: Cost) -> None:
    """Print one line of the table."""
    wall, cpu, user = (1000 * each / windows for each in (cost.wall, cost.cpu, cost.user))
    each = f"{wall:8.3f} ms wall, {cpu:8.3f} ms CPU ({user:.3f} user)"
    print(f"{name:25} {windows / cost.wall:9.1f} windows/s, per window {each}")


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
    cost = fastest(tuple(took for _, took in answers))
    show("landmark, one thread", len(answers[0][0].distances), cost)


def on_the_gpu(repeats: int, frames: int = 5000) -> None:
    """Print windows per second on a GPU, from frames in memory to scores."""
    pictures, sound = rule_frames(250, 224, 224, 0), np.tile(rule_sound(10, 1), frames // 250)
    clip = [pictures[at % 250] for at in range(frames)]
    for precision in ("float32", "bfloat16"):
        run = partial(SyncNetJudge(network(), "cuda", precision).score, clip, sound)
        answers = [timed(run) for _ in range(repeats + 1)]
        cost = fastest(tuple(took for _, took in answers[1:]))  # the first one warmed up
        speed = (frames - 5) / cost.wall
        print(f"syncnet {torch.cuda.get_device_name()}, {precision}: {speed:.0f} windows/s")


if __name__ == "__main__":
    main()
