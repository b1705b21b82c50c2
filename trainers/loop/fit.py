"""The training loop of all DVC stages. It knows no model by name. Read `fit` from the top.

    with joined() as world:
        seed_all(params.seed, "weights")
        outcome = fit(MyTask(...), source, params, folder, Validation(held_out, 8), world)
        save_my_layout(task, out)            # the task now has the final weights

docs/training_loop.md says what is promised and how it is tested.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.errors import ParamsError
from pipeline.params.fit import FitParams
from trainers.loop import checkpoints
from trainers.loop.batches import BatchSource, read_ahead
from trainers.loop.checkpoints import SaveClock
from trainers.loop.longer_runs import start_from_shorter_run
from trainers.loop.memory_plan import log_activations, log_plan
from trainers.loop.metric_loggers import (
    DvcLive,
    JsonLines,
    MetricLogger,
    TensorBoard,
    Throughput,
    close_at_end,
)
from trainers.loop.optimizations import compile_networks, set_gpu_modes
from trainers.loop.run_lock import run_folder_lock
from trainers.loop.sample_files import write_samples
from trainers.loop.state import (
    Finished,
    TrainState,
    checkpoint_content,
    final_weights,
    new_state,
    restore,
)
from trainers.loop.step import train_step
from trainers.loop.task import Batch, Task
from trainers.loop.validation import Validation, run_validation, seed_batch
from trainers.processes.stop import StopRequest, TrainingStopped
from trainers.processes.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Execution options of this machine. They change no weight, except for rounding where noted."""

    read_ahead_batches: int = 2
    tensorboard: Path | None = None
    """Folder of event files; None: no TensorBoard."""
    dvclive: Path | None = None
    """Folder of DVCLive; None: no DVCLive."""
    stop_file: Path | None = None
    """Stop gracefully once it exists: for workers that get no signals."""
    compile: bool = False
    """torch.compile for every network: minutes of compilation. Rounds differently."""
    exact_fp32: bool = False
    """No TF32 on a GPU."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a run ended."""

    step: int
    finished: Finished
    best_value: float | None
    best_step: int
    metrics: dict[str, float]
    """Of the latest validation."""
    micro_batch: int | None = None
    """In use at the end: less than `fit.micro_batch` where memory ran out."""


@dataclass(frozen=True)
class _Run:
    """Shared context of a run."""

    params: FitParams
    folder: Path
    world: World
    validation: Validation | None
    logs: list[MetricLogger]
    save_clock: SaveClock

    def log(self, step: int, values: dict[str, float]) -> None:
        for log in self.logs:
            log.log(step, values)


def fit(
    task: Task,
    source: BatchSource,
    params: FitParams,
    folder: Path,
    validation: Validation | None = None,
    world: World | None = None,
    options: RunOptions | None = None,
) -> FitResult:
    """Train until `max_steps` or early stop; resume where `folder` has a checkpoint.

    Afterwards the task, in eval mode, has the final weights: the last or the best ones, their
    moving average if there is one. A run that was done before only gets these weights again.

    Args:
        folder: of this run alone (see `folder_of_run`), seen by all ranks.

    Raises:
        NonFiniteLossError: before the optimizer step; the latest checkpoint stays as it is.
        TrainingStopped: after SIGTERM or SIGINT, with all saved.
        CheckpointError: the folder's checkpoints are broken or of another task, or another process
            trains in it.
        ParamsError: `best_metric` is no metric of the task, or a name in the params no player.
    """
    world, options = world or World(), options or RunOptions()
    with run_folder_lock(folder, world):
        _apply_options(task, options, world)
        state = new_state(task, params, world)
        world.by_first(partial(start_from_shorter_run, folder, params))
        restore(state, folder, world)
        if not state.finished:
            with close_at_end(_open_loggers(state, folder, world, options)) as logs:
                clock = SaveClock(params.save_minutes, world)
                run = _Run(params, folder, world, validation, logs, clock)
                _train(run, state, source, options)
        _load_final_weights(state, params, folder)
    return FitResult(
        state.step,
        state.finished,
        state.best_value,
        state.best_step,
        dict(state.metrics),
        state.micro_batch.items,
    )


def _apply_options(task: Task, options: RunOptions, world: World) -> None:
    set_gpu_modes(world.device, options.exact_fp32)
    if options.compile:
        compile_networks(task)


def _train(run: _Run, state: TrainState, source: BatchSource, options: RunOptions) -> None:
    """Advance the state until it is finished."""
    world = run.world
    if state.step == 0:
        _log_start(run, state)
    stop = StopRequest(options.stop_file)
    make_step = _first_step
    with (
        stop.listening(),
        _throughput(run, state) as speed,
        read_ahead(
            source.batches(state.step, world.rank, world.size),
            options.read_ahead_batches,
        ) as batches,
    ):
        while not state.finished:
            batch = _checked(next(batches, None), state.step)
            values = make_step(run, state, batch)
            make_step = _step
            state.step += 1
            state.update_averages()
            speed.count(len(batch["keys"]) * world.size)
            _after_step(run, state, values, speed)
            _stop_if_requested(run, state, stop)


def _first_step(run: _Run, state: TrainState, batch: Batch) -> dict[str, float]:
    """Make one update, and log the memory that it is expected to take and that it took."""
    planned = log_plan(state.task, state.micro_batch.of(run.params), batch, run.world)
    values = _step(run, state, batch)
    log_activations(planned, run.world)
    return values


def _step(run: _Run, state: TrainState, batch: Batch) -> dict[str, float]:
    """Make one update, with fewer items at once if memory runs out; the same draws every time."""

    def update(params: FitParams) -> dict[str, float]:
        seeded = seed_batch(batch, params, state.step, run.world)
        return train_step(state.task, state.players, seeded, state.step, params, run.world)

    return state.micro_batch.fitting(run.params, lambda: len(batch["keys"]), run.world, update)


def _metrics(run: _Run, state: TrainState) -> dict[str, float]:
    """Measure on the held-out batches, with fewer items at once if memory runs out."""
    validation = run.validation
    assert validation

    def measure(params: FitParams) -> dict[str, float]:
        return run_validation(state.task, validation, params, run.world, state.step)

    def most() -> int:
        return len(validation.source.batch_at(0, run.world.rank, run.world.size)["keys"])

    return state.micro_batch.fitting(run.params, most, run.world, measure)


def _after_step(run: _Run, state: TrainState, values: dict[str, float], speed: Throughput) -> None:
    """Log, validate, write samples, check the end conditions, save."""
    params, step = run.params, state.step
    state.means.add(values)
    if step >= params.max_steps:
        state.finished = "max_steps"
    if step % params.log_every == 0 or state.finished:
        run.log(step, {f"train/{name}": value for name, value in state.means.taken().items()})
        speed.write(step)
    if run.validation and (step % params.validate_every == 0 or state.finished):
        _validate(run, state)
    if params.sample_every and (step % params.sample_every == 0 or state.finished):
        _write_samples(run, state)
    if step % params.save_every == 0 or state.finished or run.save_clock.due():
        _save(run, state)


def _stop_if_requested(run: _Run, state: TrainState, stop: StopRequest) -> None:
    """Save and raise TrainingStopped if any rank received a stop request."""
    if state.finished or not run.world.any(stop.signum is not None):
        return
    if state.step % run.params.save_every:
        _save(run, state)
    signums = run.world.gathered(stop.signum)
    raise TrainingStopped(next(signum for signum in signums if signum is not None))


def _log_start(run: _Run, state: TrainState) -> None:
    """Validate before the first step: a baseline, and errors show early."""
    if run.validation:
        metrics = _metrics(run, state)
        _best_metric(run.params, metrics)
        run.log(0, {f"validation/{name}": value for name, value in metrics.items()})


def _validate(run: _Run, state: TrainState) -> None:
    assert run.validation
    with state.averaged():
        state.metrics = _metrics(run, state)
    run.log(state.step, {f"validation/{name}": v for name, v in state.metrics.items()})
    value = _best_metric(run.params, state.metrics)
    if value is None:
        return
    if _better(value, state.best_value, run.params):
        state.best_value, state.best_step, state.stale_validations = value, state.step, 0
        if run.world.first:
            content = {"step": state.step, "value": value, "task": final_weights(state)}
            checkpoints.save_best(run.folder, content)
    else:
        state.stale_validations += 1
        if state.stale_validations == run.params.patience and not state.finished:
            state.finished = "early_stop"


def _best_metric(params: FitParams, metrics: dict[str, float]) -> float | None:
    if params.best_metric is None:
        return None
    if params.best_metric not in metrics:
        known = ", ".join(sorted(metrics))
        raise ParamsError(f"fit.best_metric: {params.best_metric}: unknown; known here: {known}")
    return metrics[params.best_metric]


def _better(value: float, best: float | None, params: FitParams) -> bool:
    if math.isnan(value):
        return False
    return best is None or (value < best if params.best_mode == "min" else value > best)


def _write_samples(run: _Run, state: TrainState) -> None:
    with state.averaged():
        state.task.eval()
        samples = state.task.samples(run.world.rank, run.world.size)
        state.task.train()
    write_samples(run.folder / "samples" / f"step-{state.step:08d}", samples)


def _save(run: _Run, state: TrainState) -> None:
    if run.world.first:
        checkpoints.save_state(run.folder, state.step, checkpoint_content(state))
    run.world.wait()
    run.save_clock.saved()


def _load_final_weights(state: TrainState, params: FitParams, folder: Path) -> None:
    if params.final == "best" and state.best_value is not None:
        state.task.load_saved_state(checkpoints.best(folder)["task"])
    else:
        state.task.load_saved_state(final_weights(state))
    state.task.eval()


def _checked(batch: Batch | None, step: int) -> Batch:
    assert batch is not None, f"the source ended at step {step}; it must be endless"
    assert batch["keys"], f"step {step}: this rank has no item; use no more ranks than items"
    return batch


def _open_loggers(
    state: TrainState, folder: Path, world: World, options: RunOptions
) -> list[MetricLogger]:
    """Only the first rank writes."""
    if not world.first:
        return []
    logs: list[MetricLogger] = [JsonLines(folder / "metrics.jsonl", state.step)]
    if options.tensorboard:
        logs.append(TensorBoard(options.tensorboard, state.step))
    if options.dvclive:
        logs.append(DvcLive(options.dvclive, state.step))
    logger.info("%s: at step %d", folder, state.step)
    return logs


@contextmanager
def _throughput(run: _Run, state: TrainState) -> Iterator[Throughput]:
    name = "speed.jsonl" if run.world.first else f"speed-rank{run.world.rank}.jsonl"
    speed = Throughput(run.folder / name, state.step, run.world.device)
    try:
        yield speed
    finally:
        speed.close()
