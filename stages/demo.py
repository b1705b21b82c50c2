"""portraits + speech -> the demo corpus, if `ingest` reads it."""

from pipeline.demo.corpus_in_use import render_in_use
from pipeline.engine.command import run_main
from pipeline.params.curation import load_params


def main() -> None:
    """`python -m stages.demo`, called by dvc.yaml."""
    render_in_use(load_params())


if __name__ == "__main__":
    run_main(main)
