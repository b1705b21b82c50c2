"""The DVC stage `silent_lip`: G_S, which closes mouths when it hears silence. Off by default.

data/shards/{train,val} + models/avsyncnet -> models/silent_lip, reports/silent_lip.json
and _curve.csv
"""

import logging
import sys

from pipeline.engine.command import run_main
from pipeline.params.curation import load_params
from trainers.systems.stabilized.stage import train_stage

STAGE = "silent_lip"


def main() -> None:
    """`python -m trainers.train_silent_lip`, called by dvc.yaml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    params = load_params()
    sections = (STAGE, params.silent_lip), ("stabilized", params.stabilized)
    train_stage(STAGE, params.silent_lip, {name: one.run for name, one in sections})


if __name__ == "__main__":
    run_main(main)
