"""A longer run of a constant schedule goes on where a shorter one of the same identity ended."""

import logging
from pathlib import Path

from pipeline.atomic import copy_file
from pipeline.params.fit import FitParams
from trainers.loop import checkpoints
from trainers.loop.run_identity import length_name, longer_run_goes_on

METRICS = "metrics.jsonl"

logger = logging.getLogger(__name__)


def start_from_shorter_run(folder: Path, params: FitParams) -> None:
    """Copy the latest checkpoint before `max_steps` of the runs beside `folder`, if it has none.

    Args:
        folder: of the run; one that `folder_of_run` did not name has no runs beside it.

    Raises:
        CheckpointError: no checkpoint of a run beside it can be read.
        StorageError: the folder cannot be written.
    """
    named = folder.name == length_name(params)
    if not named or not longer_run_goes_on(params) or checkpoints.has_state(folder):
        return
    others = [other for other in folder.parent.glob("steps-*") if other != folder]
    found = [(checkpoints.latest_state(other, before=params.max_steps), other) for other in others]
    states = [(state, other) for state, other in found if state is not None]
    if not states:
        return
    state, other = max(states, key=lambda pair: (pair[0]["step"], pair[1].name))
    logger.info("%s: goes on at step %d of %s", folder, state["step"], other.name)
    if (other / METRICS).exists():
        copy_file(other / METRICS, folder / METRICS)
    checkpoints.save_state(folder, state["step"], {**state, "finished": ""})
