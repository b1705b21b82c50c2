"""CPU time of packing made-up samples into tars: at first, with one film fewer, and unchanged.

python -m benchmarks.packing FOLDER [SAMPLES]

Every sample has 100 kB, a tenth of a real one. Everything runs in this process, as with
LIPFORGE_RUNNER=serial; LIPFORGE_SHARDS says where the tars go.
"""

import hashlib
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.engine.cache import Cache, LocalCache
from pipeline.engine.outcome import Outcome, Part
from pipeline.params.curation import ShardsParams
from pipeline.shards.packing import pack, with_shard_names
from pipeline.tables.rows import Sample

SIZES = {"flac": 15_000, "json": 4_000, "mp4": 70_000, "npz": 11_000}
PER_FILM = 10
PARAMS = ShardsParams(buckets=64)


def make_sample(number: int, cache: Cache) -> Sample:
    """Store a sample of random bytes and return its row."""
    clip_id, rng = f"clip{number:08d}", random.Random(number)
    key = hashlib.sha256(clip_id.encode()).hexdigest()
    with cache.workdir() as folder:
        for suffix, size in SIZES.items():
            (folder / f"{clip_id}.{suffix}").write_bytes(rng.randbytes(size))
        cache.commit(key, {"stage": "shards", "status": "kept", "parts": []}, folder)
    return Sample(
        clip_id=clip_id,
        source_clip_id=clip_id,
        video_id=f"film{number // PER_FILM}",
        start_frame=0,
        end_frame=100,
        split="train",
        shard="",
        num_frames=100,
        offset_applied_frames=0.0,
        rescored_offset_frames=0.0,
        rescored_confidence=0.5,
        artifact=key,
    )


def measure(what: str, rows: Sequence[Sample], out: Path, cache: Cache) -> None:
    """Pack and print the CPU seconds."""
    started = time.process_time()
    made = [Outcome(row.clip_id, "kept", (Part("kept", row=asdict(row)),)) for row in rows]
    named = with_shard_names(made, PARAMS, cache)
    pack([Sample(**one.parts[0].row or {}) for one in named], out, PARAMS, cache)
    print(f"{what}: {time.process_time() - started:.1f} CPU-s")


def main() -> None:
    """Measure."""
    folder = Path(sys.argv[1]).absolute()
    os.environ["LIPFORGE_RUNNER"] = "serial"
    folder.mkdir(parents=True)
    os.chdir(folder)  # for events.jsonl
    cache = LocalCache(folder / "cache")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    rows = [make_sample(number, cache) for number in range(count)]
    for what, chosen in (
        ("first", rows),
        ("one film fewer", rows[PER_FILM:]),
        ("nothing changed", rows[PER_FILM:]),
    ):
        measure(what, chosen, folder / "out", cache)


if __name__ == "__main__":
    main()
