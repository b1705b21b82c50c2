"""The DVC stage `features`: what frozen front ends make of every clip, in tars beside the shards.

data/shards/{train,val,test} -> data/features/{train,val,test}, clips.parquet, index.json, and the
same in data/features/latents and in a folder per front end but Whisper (sidecar/front_ends.py)

With `features.whisper: none`, the default, only an index with this value is written, nothing heavy
is imported, and trainers compute the features while loading; `none` of the others writes nothing.
"""

import shutil
from pathlib import Path

from pipeline.atomic import write_json
from pipeline.engine.command import DATA, run_main
from pipeline.params.curation import Params, load_params
from trainers.sidecar.front_ends import FRONT_ENDS, FrontEnd
from trainers.sidecar.layout import INDEX, NONE
from trainers.systems.latentsync.latent_cache.layout import FOLDER

OUT = DATA / "features"


def run(params: Params, shards: Path = DATA / "shards", out: Path = OUT) -> None:
    """Write the features, or an index without any; and the latents, if asked for.

    Raises:
        ParamsError: no such stand-in or autoencoder.
        WeightsError: a network's file is absent or altered, or a value exceeds float16.
        ShardReadError: a shard cannot be read.
        TooManyFailuresError: too many clips without usable sound or video.
    """
    for front_end in FRONT_ENDS:
        source = getattr(params.features, front_end.name)
        if source == NONE:
            _write_nothing(out, front_end)
        else:
            from trainers.sidecar.stage import make_features  # torch, transformers: seconds

            make_features(params, shards, out, front_end, source)
    if params.features.latents == NONE:
        shutil.rmtree(out / FOLDER, ignore_errors=True)
    else:
        from trainers.systems.latentsync.latent_cache.stage import make_latents

        make_latents(params, shards, out)


def _write_nothing(out: Path, front_end: FrontEnd) -> None:
    """Remove a front end's old files; of Whisper, an index that says so stays."""
    if front_end.folder:
        shutil.rmtree(out / front_end.folder, ignore_errors=True)
        return
    for old in [*out.glob("*/*.tar"), *out.glob("*.parquet")]:
        old.unlink()
    write_json(out / INDEX, {front_end.name: NONE, "shards": []})


def main() -> None:
    """`python -m trainers.features`, called by dvc.yaml."""
    run(load_params())


if __name__ == "__main__":
    run_main(main)
