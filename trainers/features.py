"""The DVC stage `features`: what Whisper hears of every clip, made once, beside the shards.

data/shards/{train,val,test} -> data/features/{train,val,test}, clips.parquet, index.json

With `features.whisper: none`, the default, only an index that says so is written, nothing heavy is
imported, and trainers make the features while they read.
"""

from pathlib import Path

from pipeline.atomic import write_json
from pipeline.engine.command import DATA, run_main
from pipeline.params.curation import Params, load_params
from trainers.sidecar.layout import INDEX, NONE

OUT = DATA / "features"


def run(params: Params, shards: Path = DATA / "shards", out: Path = OUT) -> None:
    """Make all features, or none.

    Raises:
        ParamsError: no such stand-in.
        WeightsError: the encoder's file is absent or altered, or float16 cannot hold its numbers.
        ShardReadError: a shard cannot be read.
        TooManyFailuresError: too many clips without usable sound.
    """
    if params.features.whisper == NONE:
        _leave_none(out)
        return
    from trainers.sidecar.stage import make_features  # torch, transformers: seconds

    make_features(params, shards, out)


def _leave_none(out: Path) -> None:
    for old in [*out.glob("*/*.tar"), *out.glob("*.parquet")]:
        old.unlink()
    write_json(out / INDEX, {"whisper": NONE, "shards": []})


def main() -> None:
    """`python -m trainers.features`, called by dvc.yaml."""
    run(load_params())


if __name__ == "__main__":
    run_main(main)
