"""A stage as a command: items in, one sorted table out; cached items are not processed again."""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.digest import digest
from pipeline.engine.again import STAGES, ask_for, note_unfinished
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import STATUSES, Outcome, Work
from pipeline.engine.progress import EVENTS, Progress
from pipeline.engine.ray_connection import connect, disconnect
from pipeline.engine.remembering import Remembering
from pipeline.engine.roots import needing
from pipeline.engine.runner import Runner, SerialRunner
from pipeline.engine.stage import Stage
from pipeline.errors import (
    DISK_ERRORS,
    DamagedCacheError,
    LipforgeError,
    ManifestError,
    TooManyFailuresError,
)
from pipeline.params.curation import Params
from pipeline.params.environment import environment

DATA = Path("data")
"""Where every stage writes its table: `data/<stage>/<table>.parquet`."""
BUGS_SAID = 3
"""Items that are named on stderr; the table and the report name all that a bug of ours stopped."""
FOUND_AT_ONCE = 16_384
"""Items that are looked up, and in memory with their rows, before the table gets them."""
ENDED_BADLY = ("failed", "quarantined")
HELP = ("-h", "--help")
PAGES = {
    "truth": "demo",
    "train_syncnet": "stable_syncnet",
    "train_ldm": "latent_diffusion",
    "train_avsyncnet": "avsyncnet",
    "train_silent_lip": "stabilized",
    "train_stabilized": "stabilized",
    "train_syncdiff": "syncdiff",
}
"""Pages of docs/ that are not named like their stage."""


def runner_from_environment() -> Runner:
    """LIPFORGE_RUNNER=serial runs here; anything else is Ray. Never changes the result."""
    if environment().runner == "serial":
        return SerialRunner()
    with _own_signal_handler():
        connect()
    from pipeline.engine.ray_runner import RayRunner  # imports Ray, which takes a second

    return RayRunner()


@contextmanager
def _own_signal_handler() -> Iterator[None]:
    """Put back what a terminate signal did: Ray replaces it by a stack trace and exit code 15."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def stage_facts(stage: Stage[Any, Any]) -> dict[str, Any]:
    """Return what a result depends on besides its item: version, params, weights.

    Workers, paths, batch sizes and the cluster's address are not part of it.
    """
    return {
        "stage": stage.name,
        "version": stage.version,
        "params": dict(stage.cache_params()),
        "weights": dict(stage.weights()),
    }


def item_key(stage: Stage[Any, Any], item: Any, facts: Mapping[str, Any] | None = None) -> str:
    """Return the cache key of an item; `facts` saves reading the weights for every item."""
    return digest({**(facts or stage_facts(stage)), "item": dict(stage.identity(item))})


def plan(stage: Stage[Any, Any], items: Iterable[Any]) -> list[Work]:
    """Name and key every item, in the order of their names.

    Raises:
        ManifestError: two items have one name.
    """
    facts = stage_facts(stage)
    work = [
        Work(stage.item_id(item), item_key(stage, item, facts), item, stage.deadline_s(item))
        for item in items
    ]
    names = Counter(one.item_id for one in work)
    if repeated := sorted(name for name, count in names.items() if count > 1):
        raise ManifestError(f"{stage.name}: item {repeated[0]!r} is named twice")
    return sorted(work, key=lambda one: one.item_id)


def run_stage(
    stage: Stage[Any, Any],
    items: Sequence[Any],
    runner: Runner | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Return one outcome per item, from the cache or computed, sorted by item_id."""
    return _run_work(stage, plan(stage, items), cache or open_cache(), runner, progress)


def _run_work(
    stage: Stage[Any, Any],
    work: Sequence[Work],
    cache: Cache,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    finished = list(endings(stage, work, cache, runner, progress))
    forget_damaged(finished, cache)
    return sorted(finished, key=lambda outcome: outcome.item_id)


def endings(
    stage: Stage[Any, Any],
    work: Sequence[Work],
    cache: Cache,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Yield one outcome per item: what is cached first, then the others as they are finished."""
    missing: list[Work] = []
    ended = 0
    with progress or Progress(stage.name, len(work)) as shown:
        cache.sweep()
        for some in _blocks(work):
            found, absent = _look_up(stage, some, cache)
            missing += absent
            ended += len(found)
            for outcome in found:
                shown.add(outcome)
                yield outcome
        missing.sort(key=lambda one: one.item_id)
        with Remembering(cache, stage.name) as remembering:
            for outcome in _compute(stage, missing, runner, cache, shown):
                ended += 1
                remembering.add(outcome.key)
                yield outcome
    assert ended == len(work), f"{stage.name}: {len(work)} items, {ended} endings"


def _blocks(work: Sequence[Work]) -> Iterator[Sequence[Work]]:
    """Yield what is looked up at once: keys that begin alike, as a remote cache lists them."""
    by_key = sorted(work, key=lambda one: one.key)
    for start in range(0, len(by_key), FOUND_AT_ONCE):
        yield by_key[start : start + FOUND_AT_ONCE]


Finish = Callable[[Sequence[Outcome]], list[Outcome]]
"""A last look at all outcomes together (duplicates, say) before the table is written."""


def execute(
    stage: Stage[Any, Any],
    items: Sequence[Any],
    table: Path,
    row_type: type[Any],
    params: Params,
    finish: Finish = list,
) -> list[Outcome]:
    """Run `stage` and write its table.

    Items that a fault of the moment has stopped are tried again by the next `dvc repro`.

    Raises:
        TooManyFailuresError: after the table of what happened went to `<table>.failed.parquet`;
            the table itself is not written, so nothing downstream takes the run for done.
    """
    work = plan(stage, items)
    with needing(stage.name, [one.key for one in work], (table, failed_table(table))):
        ended = _run_work(stage, work, open_cache())
        outcomes = finish(ended)
        say_unfinished(stage.name, ended)
        write_or_fail(
            table,
            lambda: check_failures(stage.name, ended, params.run.max_failed_fraction),
            lambda path: write_table(path, outcomes, row_type),
        )
    return outcomes


def failed_table(table: Path) -> Path:
    """Return where the table of a run with too many failures lies."""
    return table.with_suffix(".failed.parquet")


def write_or_fail(table: Path, check: Callable[[], None], write: Callable[[Path], None]) -> None:
    """Write the table, or that of a run with too many failures in its place.

    Raises:
        TooManyFailuresError: that of `check`.
    """
    try:
        check()
    except TooManyFailuresError:
        table.unlink(missing_ok=True)
        write(failed_table(table))
        raise
    failed_table(table).unlink(missing_ok=True)
    write(table)


def check_failures(stage: str, outcomes: Sequence[Outcome], max_failed_fraction: float) -> None:
    """Raise rather than let a broken run look like a strict filter.

    Raises:
        TooManyFailuresError: failed and quarantined items, bugs of ours among them, over the limit.
    """
    bad = [one for one in outcomes if one.status in ENDED_BADLY]
    check_bad(stage, bad, len(outcomes), max_failed_fraction)


def check_bad(stage: str, bad: Sequence[Outcome], items: int, max_failed_fraction: float) -> None:
    """Do as `check_failures`; `bad` are the items of all that ended badly."""
    if bad and len(bad) / items > max_failed_fraction:
        bugs = [one for one in bad if not one.final]
        first = (bugs or bad)[0]
        message = f"{first.item_id}: {first.reason}: {_said(first)}"
        if bugs:
            message += f"; its traceback is in {EVENTS}"
        raise TooManyFailuresError(stage, len(bad), items, message)


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Count the endings; they add up to the items."""
    found = Counter(outcome.status for outcome in outcomes)
    return {status: found[status] for status in STATUSES}


def _look_up(
    stage: Stage[Any, Any], work: Sequence[Work], cache: Cache
) -> tuple[list[Outcome], list[Work]]:
    retry = frozenset(environment().retry)
    stored = cache.lookup_many(stage.name, [one.key for one in work])

    outcomes = [_wanted(one, stored.get(one.key), cache, retry) for one in work]
    found = [outcome for outcome in outcomes if outcome is not None]
    return found, [one for one, outcome in zip(work, outcomes, strict=True) if outcome is None]


Stored = Mapping[str, Any] | None
"""What the cache has of an item."""


def _wanted(work: Work, stored: Stored, cache: Cache, retry: Set[str]) -> Outcome | None:
    """Return what is stored, unless it ended in a way that LIPFORGE_RETRY names."""
    if stored is None:
        return None
    outcome = Outcome.from_json(stored, work.item_id, work.key)
    if retry & {outcome.status, *(part.reason for part in outcome.parts)}:
        cache.forget(work.key)
        return None
    return outcome


def forget_damaged(outcomes: Sequence[Outcome], cache: Cache) -> None:
    """Say which entries of other stages are damaged, and make the next `dvc repro` heal them."""
    for key, name in sorted({one.damaged for one in outcomes if one.damaged}):
        error = DamagedCacheError(key, name, "gone or altered")
        _say_damaged(error, cache, "the next `dvc repro` makes its item again")
        owner = cache.stage_of(key)
        ask_for([owner] if owner in STAGES else STAGES, [key])
        cache.forget(key)


def _say_damaged(error: DamagedCacheError, cache: Cache, cure: str) -> None:
    where = cache.place(error.key, error.name)
    sys.stderr.write(f"warning: {where}: damaged in the item cache ({error.what}); {cure}\n")


def say_unfinished(stage: str, outcomes: Sequence[Outcome]) -> None:
    """Note what the next `dvc repro` must try again, and say so on stderr."""
    unfinished = {one.item_id: one.reason for one in outcomes if one.transient or not one.final}
    note_unfinished(stage, unfinished)
    for reason, count in sorted(Counter(unfinished.values()).items()):
        items = "item" if count == 1 else "items"
        sys.stderr.write(f"{stage}: {count} {items} {reason}: `dvc repro` will try again\n")
    for one in [one for one in outcomes if not one.final][:BUGS_SAID]:
        where = f"its traceback is in {EVENTS}"
        sys.stderr.write(f"{stage}: a bug of lipforge: {one.item_id}: {_said(one)}; {where}\n")


def _said(outcome: Outcome) -> str:
    return outcome.detail.partition("\n")[0]


def _compute(
    stage: Stage[Any, Any],
    work: Sequence[Work],
    runner: Runner | None,
    cache: Cache,
    progress: Progress,
) -> Iterator[Outcome]:
    if not work:
        return
    for outcome in _once_per_key(stage, work, runner or runner_from_environment(), cache):
        if outcome.status == "quarantined":
            with cache.workdir() as empty:
                cache.commit(outcome.key, {"stage": stage.name, **outcome.to_json()}, empty)
        progress.add(outcome)
        yield outcome


def _once_per_key(
    stage: Stage[Any, Any], work: Sequence[Work], runner: Runner, cache: Cache
) -> Iterator[Outcome]:
    """Compute equal content once, though it has several names."""
    names: dict[str, list[str]] = {}
    for one in work:
        names.setdefault(one.key, []).append(one.item_id)
    unique = list({one.key: one for one in reversed(work)}.values())[::-1]
    for outcome in runner.run(stage, unique, cache):
        for name in names[outcome.key]:
            yield replace(outcome, item_id=name)


def run_main(main: Callable[[], None], takes_arguments: bool = False) -> None:
    """Call a stage's `main`; an error of the user's is one message and exit code 1.

    Ctrl-C and a terminate signal stop cleanly with exit code 130: finished items are cached.

    Args:
        takes_arguments: False: a `main` of the module that Python was started with does nothing if
            there are any, but says what it is; exit code 0 for `--help`, else 2. The arguments of a
            process that imports a stage and calls it are not the stage's.
    """
    if not takes_arguments and main.__module__ == "__main__" and sys.argv[1:]:
        sys.exit(_explain_stage(sys.argv[1:]))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    try:
        main()
    except LipforgeError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        sys.stderr.write(f"error: {error}; free some space and run again\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; finished items are cached, run again to go on\n")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is done but for Ray's own end
        disconnect()
        signal.signal(signal.SIGTERM, before)


def _explain_stage(arguments: Sequence[str]) -> int:
    """Say what the stage does that Python was started with; return the exit code."""
    started = sys.modules["__main__"]
    module = started.__spec__.name if started.__spec__ else Path(sys.argv[0]).stem
    name = module.rpartition(".")[2]
    what = (started.__doc__ or f"The stage {name}.").splitlines()[0]
    sections = [one for one in (name, name.removeprefix("train_")) if one in Params.model_fields]
    section = f"section `{sections[0]}`" if sections else "no section of its own"
    text = (
        f"{what}\n\n`python -m {module}` takes no arguments. It is configured by params.yaml "
        f"({section}); see docs/{PAGES.get(name, name)}.md, and docs/running.md for variables.\n"
    )
    asked = any(one in HELP for one in arguments)
    wrong = "" if asked else f"error: {arguments[0]}: no arguments are taken, nothing was done\n"
    (sys.stdout if asked else sys.stderr).write(wrong + text)
    return 0 if asked else 2
