"""A stage as a command whose outcomes go into the table one by one: for stages of many large rows.

Nothing looks at all outcomes together, so no more of them are in memory than a batch; those that
ended badly, apart.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.engine.cache import open_cache
from pipeline.engine.command import (
    ENDED_BADLY,
    check_bad,
    endings,
    failed_table,
    forget_damaged,
    plan,
    say_unfinished,
    write_or_fail,
)
from pipeline.engine.manifest import OutcomeTable
from pipeline.engine.outcome import Outcome
from pipeline.engine.roots import needing
from pipeline.engine.stage import Stage
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
    with needing(stage.name, [one.key for one in work], (table, failed_table(table))):
        rows, bad = OutcomeTable(table, row_type), list[Outcome]()
        for outcome in endings(stage, work, cache):
            rows.add(outcome)
            if outcome.status in ENDED_BADLY:
                bad.append(outcome)
        bad.sort(key=lambda one: one.item_id)
        forget_damaged(bad, cache)
        say_unfinished(stage.name, bad)
        limit = params.run.max_failed_fraction
        write_or_fail(table, lambda: check_bad(stage.name, bad, len(work), limit), rows.write)
