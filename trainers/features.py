"""The DVC stage `features`: Whisper features of every clip in tars beside the shards.

data/shards/{train,val,test} -> data/features/{train,val,test}, clips.parquet, index.json

With `features.whisper: none`, the default, only an index with this value is written, nothing heavy
is imported, and trainers compute the features while loading.
"""

from pathlib import Path

from pipeline.atomic import write_json
from pipeline.engine.command import DATA, run_main
from pipeline.params.curation import Params, load_params
from trainers.sidecar.layout import INDEX, NONE

OUT = DATA / "features"


def run(params: Params, shards: Path = DATA / "shards", out: Path = OUT) -> None:
    """Write the features, or an index without any.

    Raises:
        ParamsError: no such stand-in.
        WeightsError: the encoder's file is absent or altered, or a feature exceeds float16.
        ShardReadError: a shard cannot be read.
        TooManyFailuresError: too many clips without usable sound.
    """
    if params.features.whisper == NONE:
        _write_empty_index(out)
        return
    from trainers.sidecar.stage import make_features  # torch, transformers: seconds

    make_features(params, shards, out)


def _write_empty_index(out: Path) -> None:
    for old in [*out.glob("*/*.tar"), *out.glob("*.parquet")]:
        old.unlink()
    write_json(out / INDEX, {"whisper": NONE, "shards": []})


def main() -> None:
    """`python -m trainers.features`, called by dvc.yaml."""
    run(load_params())


if __name__ == "__main__":
    run_main(main)
