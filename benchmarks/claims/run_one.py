"""One run in a process of its own: `python -m benchmarks.claims.run_one .cache/claims/<digest>`.

Killed, it goes on at its latest checkpoint when it is started again.
"""

import json
import logging
import resource
import shutil
import sys
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.claims.runs import RESULT
from pipeline.atomic import write_json

SYSTEMS = {
    "syncnet": "benchmarks.claims.syncnet_run",
    "diffusion": "benchmarks.claims.diffusion_run",
    "temporal_encoder": "benchmarks.claims.temporal_encoder",
    "avsyncnet": "benchmarks.claims.avsyncnet_run",
    "silent_lip": "benchmarks.claims.talker_run",
    "stabilized": "benchmarks.claims.talker_run",
    "syncdiff": "benchmarks.claims.syncdiff_run",
}
SPENT = "cpu_seconds.jsonl"
"""CPU seconds of every attempt that could say so."""


def main() -> None:
    """Train, measure, write `result.json`, remove the checkpoints."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    order = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    try:
        result = import_module(SYSTEMS[order["facts"]["system"]]).run(order, folder)
    finally:
        with (folder / SPENT).open("a", encoding="utf-8") as stream:
            stream.write(f"{_cpu_seconds()}\n")
    spent = [float(line) for line in (folder / SPENT).read_text(encoding="utf-8").split()]
    result["metrics"]["cpu_seconds"] = round(sum(spent), 1)
    write_json(folder / RESULT, {**result, "attempts": len(spent), "facts": order["facts"]})
    shutil.rmtree(folder / "training", ignore_errors=True)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
