"""A stage as a command whose outcomes go into the table one by one: for stages of many large rows.

Nothing looks at all outcomes together, so no more of them are in memory than a batch; those that
ended badly, apart.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.engine import roots
from pipeline.engine.cache import open_cache
from pipeline.engine.command import (
    ENDED_BADLY,
    check_bad,
    endings,
    forget_damaged,
    plan,
    say_unfinished,
)
from pipeline.engine.manifest import OutcomeTable
from pipeline.engine.outcome import Outcome
from pipeline.engine.planned import note_planned
from pipeline.engine.stage import Stage
from pipeline.errors import TooManyFailuresError
from pipeline.params.curation import Params


def execute_streamed(
    stage: Stage[Any, Any],
    items: Sequence[Any],
    table: Path,
    row_type: type[Any],
    params: Params,
) -> None:
    """Run `stage` and write its table, as `execute`; nothing is returned.

    Raises:
        TooManyFailuresError: as `execute`.
    """
    work, cache = plan(stage, items), open_cache()
    failed_table = table.with_suffix(".failed.parquet")
    keys = [one.key for one in work]
    note_planned(stage.name, keys)
    roots.begin(stage.name, keys, (table, failed_table))
    rows, bad = OutcomeTable(table, row_type), list[Outcome]()
    for outcome in endings(stage, work, cache):
        rows.add(outcome)
        if outcome.status in ENDED_BADLY:
            bad.append(outcome)
    bad.sort(key=lambda one: one.item_id)
    forget_damaged(bad, cache)
    say_unfinished(stage.name, bad)
    try:
        check_bad(stage.name, bad, len(work), params.run.max_failed_fraction)
    except TooManyFailuresError:
        table.unlink(missing_ok=True)
        rows.write(failed_table)
        raise
    failed_table.unlink(missing_ok=True)
    rows.write(table)
    roots.end(stage.name)
