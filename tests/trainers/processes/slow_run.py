"""A run to stop by a signal: `python -m tests.trainers.processes.slow_run FOLDER [SECONDS]`.

Prints every step that begins; at the end a hash of the weights.
"""

import hashlib
import sys
import time
from pathlib import Path

import torch

from pipeline.engine.command import run_main
from tests.trainers.loop.toy_tasks import HELD_OUT, SOURCE, made, with_
from trainers.loop.fit import RunOptions, fit

PARAMS = with_(max_steps=12, save_every=100, validate_every=5, ema_decay=0.9)


def main():
    torch.set_num_threads(1)
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    task = made(dropout=0.2)
    inner = task.losses

    def losses(batch, player):
        sys.stdout.write(batch["keys"][0] + "\n")
        sys.stdout.flush()
        time.sleep(seconds)
        return inner(batch, player)

    task.losses = losses
    options = RunOptions(read_ahead_batches=2)
    fit(task, SOURCE, PARAMS, Path(sys.argv[1]), HELD_OUT, options=options)
    state = b"".join(value.numpy().tobytes() for value in task.state_dict().values())
    sys.stdout.write(hashlib.sha256(state).hexdigest() + "\n")


if __name__ == "__main__":
    run_main(main, takes_arguments=True)
