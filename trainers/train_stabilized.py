"""The DVC stage `stabilized`: G_L, the talking face of Yaman et al. Off by default.

data/shards/{train,val} + models/avsyncnet + models/silent_lip -> models/stabilized,
reports/stabilized.json and _curve.csv
"""

import logging
import sys

from pipeline.engine.command import run_main
from pipeline.params.curation import load_params
from trainers.systems.stabilized.stage import train_stage

STAGE = "stabilized"


def main() -> None:
    """`python -m trainers.train_stabilized`, called by dvc.yaml."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    section = load_params().stabilized
    train_stage(STAGE, section, {STAGE: section.run})


if __name__ == "__main__":
    run_main(main)
