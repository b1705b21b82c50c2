"""all tables -> reports/truth.json: the run against the demo corpus' ground truth."""

from pathlib import Path

from pipeline.demo.corpus_in_use import write_comparison
from pipeline.engine.command import DATA, run_main
from pipeline.params.curation import load_params


def main() -> None:
    """`python -m stages.truth`, called by dvc.yaml."""
    write_comparison(load_params(), DATA, Path("reports/truth.json"))


if __name__ == "__main__":
    run_main(main)
