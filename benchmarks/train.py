"""Training speed: whole optimizer steps, as the loop runs them, of profiles of params.yaml.

python -m benchmarks.train --random-weights --out speed.json
python -m benchmarks.train --profiles ldm:stage2 --micro-batch 8 --ways plain,compile --out x.json

A step is what trainers/loop does: the batch as bytes from the CPU, autoencoder, U-Net and judges,
all micro-batches, clipping, AdamW, moving average. FLOPs are those that run (torch's counter, with
what checkpointing repeats); the peak is a large matrix product in the same precision in the same
run. Needs torch, numpy, pydantic, pydantic-settings, PyYAML, OpenCV, diffusers, transformers and
safetensors; no shards and, with --random-weights, no files of weights.
"""

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training_cases import Profile, frozen_names, new_batch, new_task, profile_named
from pipeline.errors import LipforgeError
from pipeline.params.curation import load_params
from pipeline.params.fit import FitParams
from trainers.loop.batches import moved
from trainers.loop.optimizations import compile_networks, set_gpu_modes
from trainers.loop.precision import autocast
from trainers.loop.state import TrainState, new_state
from trainers.loop.step import train_step
from trainers.loop.task import Batch
from trainers.loop.validation import seed_batch
from trainers.processes.world import World

PROFILES = ("syncnet:paper", "ldm:stage1", "ldm:stage2")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WAYS = {
    "plain": {},
    "bf16": {"precision": "bf16"},
    "compile": {"compiled": True},
    "together": {"precision": "bf16", "compiled": True},
}
COMPILE_S = 90.0
"""With less time left, nothing is compiled any more."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured."""

    profile: str
    way: str
    precision: str
    micro_batch: int
    compiled: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was found; None where there is nothing to measure."""

    case: Case
    outcome: str = "measured"
    """Or why there are no numbers."""
    items_per_step: int | None = None
    samples_per_s: float | None = None
    step_s: float | None = None
    """Median."""
    steps: int = 0
    tflops: float | None = None
    peak_share: float | None = None
    memory_gib: float | None = None
    first_step_s: float | None = None
    networks: dict[str, str] | None = None
    """The frozen ones, by role."""


class Bench:
    """The measurements of one run of this program."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.end = given, time.monotonic() + given.seconds
        self.device = torch.device(given.device)
        self.world = World(device=self.device)
        set_gpu_modes(self.device, exact_fp32=False)
        self.params = load_params(given.params)
        self.peaks: dict[str, float] = {}
        self.flops: dict[tuple[str, str], float] = {}
        self.largest: dict[str, int] = {}

    def rows(self) -> Iterator[Row]:
        """Measure the plain way of every profile, then the next way of every profile."""
        for name in self.given.profiles:
            if self.given.micro_batch == "auto" and self.device.type == "cuda":
                yield self.row(self.case(name, "plain", self.own(name)))
        for way in self.given.ways:
            for name in self.given.profiles:
                yield self.row(self.case(name, way, self.micro_batch(name)))

    def case(self, name: str, way: str, micro_batch: int) -> Case:
        """Return a case in the precision asked for."""
        wanted = self.given.precision
        precision = self.profile(name).fit.precision if wanted == "profile" else wanted
        return replace(
            Case(profile=name, way=way, precision=precision, micro_batch=micro_batch), **WAYS[way]
        )

    def profile(self, name: str) -> Profile:
        """Return the profile of this name."""
        return profile_named(self.params, name)

    def own(self, name: str) -> int:
        """Return the profile's own micro-batch."""
        profile = self.profile(name)
        return profile.fit.micro_batch or profile.batch

    def row(self, case: Case) -> Row:
        """Measure one case, or say why not."""
        left = self.end - time.monotonic()
        if left < (COMPILE_S if case.compiled else 0):
            return Row(case=case, outcome="not measured: the time is over")
        try:
            return self.measured(case)
        except torch.OutOfMemoryError:
            outcome = "out of memory"
        except LipforgeError as error:
            outcome = f"{type(error).__name__}: {error}"
        return Row(case=case, outcome=outcome)

    def measured(self, case: Case) -> Row:
        """Train for some steps, and forget the networks."""
        profile, params = self.profile(case.profile), self.fit_params(case)
        empty_cache(self.device)
        state = self.state(case)
        flops = self.flops_per_item(case, state, profile)
        if case.compiled:
            torch.compiler.reset()
            compile_networks(state.task)
        items = case.micro_batch * self.given.micro_batches
        batch = new_batch(profile, items)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        seconds = list(self.timed(state, batch, params))
        step_s = statistics.median(seconds[2:])
        rate = items / step_s
        return Row(
            case=case,
            items_per_step=items,
            samples_per_s=rate,
            step_s=step_s,
            steps=len(seconds) - 2,
            tflops=rate * flops / 1e12,
            peak_share=rate * flops / self.peak(case.precision),
            memory_gib=peak_memory_gib(self.device),
            first_step_s=seconds[0],
            networks=frozen_names(state.task),
        )

    def timed(self, state: TrainState, batch: Batch, params: FitParams) -> Iterator[float]:
        """Yield the seconds of each step: two to warm up, then at least three."""
        began = time.monotonic()
        while state.step < 5 or time.monotonic() - began < self.given.case_seconds:
            start = time.perf_counter()
            one_step(state, batch, params, self.world)
            synchronize(self.device)
            yield time.perf_counter() - start
            if state.step >= 5 and time.monotonic() > self.end:
                return

    def state(self, case: Case) -> TrainState:
        """Return a new task with its optimizer, on the device."""
        task = new_task(self.profile(case.profile), self.device, self.given.random_weights)
        return new_state(task, self.fit_params(case), self.world)

    def fit_params(self, case: Case) -> FitParams:
        """Return the profile's parameters in the case's precision."""
        changes = {"precision": case.precision, "micro_batch": case.micro_batch}
        return self.profile(case.profile).fit.model_copy(update=changes)

    def flops_per_item(self, case: Case, state: TrainState, profile: Profile) -> float:
        """Count the forward and backward pass of one item."""
        key = (case.profile, case.precision)
        if key not in self.flops:
            params = self.fit_params(case)
            batch = moved(seed_batch(new_batch(profile, 1), params, 0, self.world), self.device)
            with FlopCounterMode(display=False) as counter:
                with autocast(params, self.device):
                    terms, _ = state.players[0].losses(batch)
                    loss = torch.stack(list(terms.values())).sum()
                loss.backward()
            self.flops[key] = float(counter.get_total_flops())
            state.players[0].optimizer.zero_grad(set_to_none=True)
        return self.flops[key]

    def peak(self, precision: str) -> float:
        """Return the best FLOP/s of large matrix products in a precision."""
        if precision not in self.peaks:
            edge, times = (8192, 20) if self.device.type == "cuda" else (512, 6)
            a = torch.randn(edge, edge, device=self.device, dtype=DTYPES[precision])
            seconds = []
            for _ in range(times):
                start = time.perf_counter()
                a @ a
                synchronize(self.device)
                seconds.append(time.perf_counter() - start)
            self.peaks[precision] = 2 * edge**3 / min(seconds[2:])
        return self.peaks[precision]

    def micro_batch(self, name: str) -> int:
        """Return the micro-batch asked for: a number, the profile's, or the largest that fits."""
        asked, own = self.given.micro_batch, self.own(name)
        if asked == "profile" or (asked == "auto" and self.device.type != "cuda"):
            return own
        if asked != "auto":
            return int(asked)
        if name not in self.largest:
            self.largest[name] = self.largest_that_fits(name, own)
        return self.largest[name]

    def largest_that_fits(self, name: str, own: int) -> int:
        """Double the profile's micro-batch while a step fits, then try one and a half times."""
        empty_cache(self.device)
        state = self.state(self.case(name, "plain", own))
        fits = 0
        trials = [own * 2**power for power in range(1, 6)]
        while trials and time.monotonic() < self.end:
            size = trials.pop(0)
            if self.fits(state, name, size):
                fits = size
            else:
                trials = [fits * 3 // 2] if fits and size == 2 * fits else []
        return fits or own

    def fits(self, state: TrainState, name: str, size: int) -> bool:
        """Return whether a step of this micro-batch fits into memory."""
        params = self.fit_params(self.case(name, "plain", size))
        try:
            one_step(state, new_batch(self.profile(name), size), params, self.world)
            synchronize(self.device)
            fit = True
        except torch.OutOfMemoryError:
            fit = False
        # Only behind the except block is the memory free that its traceback held.
        state.players[0].optimizer.zero_grad(set_to_none=True)
        empty_cache(self.device)
        return fit


def one_step(state: TrainState, batch: Batch, params: FitParams, world: World) -> None:
    """Do what the loop does for a step."""
    seeded = seed_batch(batch, params, state.step, world)
    train_step(state.task, state.players, seeded, state.step, params, world)
    state.step += 1
    state.update_averages()


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def empty_cache(device: torch.device) -> None:
    """Give back what was allocated for the case before."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def peak_memory_gib(device: torch.device) -> float | None:
    """Return the largest memory that tensors took, of a GPU."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None


def machine(device: torch.device) -> str:
    """Return what it was measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


HEAD = (
    f"{'profile':22} {'way':13} {'precision':9} {'micro':>5} {'items':>5} {'samples/s':>9} "
    f"{'TFLOP/s':>8} {'of peak':>7} {'GiB':>6} {'1st s':>6}"
)


def line(row: Row) -> str:
    """Return one line of the table."""
    case = row.case
    start = f"{case.profile:22} {case.way:13} {case.precision:9} {case.micro_batch:5}"
    if row.samples_per_s is None:
        return f"{start} {row.outcome}"
    memory = "-" if row.memory_gib is None else f"{row.memory_gib:.1f}"
    return (
        f"{start} {row.items_per_step:5} {row.samples_per_s:9.3g} {row.tflops:8.3g} "
        f"{row.peak_share:7.1%} {memory:>6} {row.first_step_s:6.1f}"
    )


def content(bench: Bench, rows: list[Row]) -> dict[str, Any]:
    """Return what is written as JSON."""
    return {
        "machine": machine(bench.device),
        "torch": torch.__version__,
        "random_weights": bench.given.random_weights,
        "peak_tflops": {name: value / 1e12 for name, value in bench.peaks.items()},
        "gflop_per_item": {f"{n}, {p}": value / 1e9 for (n, p), value in bench.flops.items()},
        "rows": [asdict(row) for row in rows],
    }


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = {"type": lambda text: text.split(",")}
    parser.add_argument("--profiles", default=list(PROFILES), **names)
    parser.add_argument("--ways", default=list(WAYS), **names)
    parser.add_argument("--micro-batch", default="auto", help="a number, `profile`, or `auto`")
    parser.add_argument("--micro-batches", type=int, default=2, help="per optimizer step")
    parser.add_argument("--precision", choices=["profile", *DTYPES], default="profile")
    parser.add_argument("--random-weights", action="store_true", help="frozen networks, real sizes")
    parser.add_argument("--seconds", type=float, default=420, help="of the whole run")
    parser.add_argument("--case-seconds", type=float, default=6, help="of one case at least")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--out", type=Path, required=True, help="JSON, written after every case")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.ways) - set(WAYS)):
        parser.error(f"--ways: {', '.join(unknown)}: unknown; known: {', '.join(WAYS)}")
    return given


def main(arguments: list[str] | None = None) -> None:
    """Print the table and write it."""
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    bench = Bench(parsed(arguments))
    named = "random weights of the real sizes" if bench.given.random_weights else "real weights"
    print(f"{machine(bench.device)}; torch {torch.__version__}; frozen networks: {named}")
    print(HEAD, flush=True)
    rows: list[Row] = []
    for row in bench.rows():
        rows.append(row)
        print(line(row), flush=True)
        bench.given.out.write_text(json.dumps(content(bench, rows), indent=1) + "\n")
    peaks = ", ".join(f"{name} {value / 1e12:.3g}" for name, value in bench.peaks.items())
    print(f"peak of a matrix product, TFLOP/s: {peaks}")


if __name__ == "__main__":
    main()
