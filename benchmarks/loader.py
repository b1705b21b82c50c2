"""Windows of 16 frames per second: this loader against opening and seeking a file for each.

python -m benchmarks.loader [FOLDER_OF_SHARDS] [--seconds 20]

The other way is what LatentSync's data sets do for every sample: open the clip's mp4 with decord,
seek to a random place, decode 16 frames, close. Both get the same clips in this one process; the
files lie on the local disk and were read once before. CPU seconds are counted beside the clock,
because decord decodes with threads of its own and other work on the machine moves the clock.
Without a folder, eight clips of eight seconds are made.
"""

import argparse
import tarfile
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import cv2
import decord
import numpy as np

from pipeline.media.encode import write_clip
from pipeline.media.flac import flac_bytes
from pipeline.shards.tar import PackedSample, write_shard
from trainers.data.index import ShardIndex, index_shards
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_urls import shard_urls
from trainers.data.window_items import WindowItem

FRAMES = 16
BATCH = 8


def made_shards(folder: Path) -> Path:
    """Write one shard of textured clips that move."""
    samples = []
    for clip in range(8):
        random = np.random.default_rng(clip)
        noise = random.integers(0, 256, (36, 36, 3), np.uint8)
        big = cv2.resize(noise, (288, 288), interpolation=cv2.INTER_CUBIC)
        shots = (big[i % 32 :, i % 32 :][:256, :256] for i in range(200))
        files = {name: folder / f"clip{clip}.{name}" for name in ("mp4", "flac", "json", "npz")}
        write_clip(files["mp4"], shots, crf=14)
        files["flac"].write_bytes(flac_bytes(np.zeros(200 * 640, np.int16), 16_000))
        files["json"].write_text('{"num_frames": 200}')
        files["npz"].write_bytes(b"")
        samples.append(PackedSample(f"clip{clip}", "train", 0, 200, files))
    write_shard(folder / "train-0000-000.tar", samples)
    return folder


def unpacked(index: ShardIndex, folder: Path) -> list[Path]:
    """Write the mp4 of every clip as a file, for decord."""
    paths = []
    for url in index.urls:
        with tarfile.open(url.removeprefix("file://")) as tar:
            for member in tar:
                if member.name.endswith(".mp4"):
                    stream = tar.extractfile(member)
                    assert stream is not None
                    paths.append(folder / member.name)
                    paths[-1].write_bytes(stream.read())
    return paths


def decord_windows(paths: list[Path], threads: int) -> Generator[int, None, None]:
    """Open, seek, decode 16 frames, close; for ever. Yields the number of windows made."""
    random = np.random.default_rng(0)
    while True:
        path = paths[random.integers(len(paths))]
        video = decord.VideoReader(str(path), num_threads=threads)
        start = int(random.integers(len(video) - FRAMES + 1))
        frames = video.get_batch(np.arange(start, start + FRAMES)).asnumpy()
        assert len(frames) == FRAMES
        yield 1


def loader_windows(
    index: ShardIndex, windows_per_clip: int, in_flight: int, workers: int = 0, kind: str = "thread"
) -> Generator[int, None, None]:
    """Batches of the loader as trainers get them. Yields the number of windows made."""
    order = OrderConfig(
        seed=0, batch=BATCH, windows_per_clip=windows_per_clip, in_flight_clips=in_flight
    )
    config = LoaderConfig(order=order, workers=workers, worker_kind=kind)
    for batch in Loader(index, WindowItem(), config).batches():
        yield len(batch.data["frames"])


def rate(windows: Generator[int, None, None], seconds: float, warm_up: int) -> tuple[float, float]:
    """Return windows per second of the clock, and per CPU second, after some that do not count."""
    for _ in range(warm_up):
        next(windows)
    clock, cpu, made = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - clock < seconds:
        made += next(windows)
    return made / (time.perf_counter() - clock), made / (time.process_time() - cpu)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", nargs="?")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--in-flight", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        source = arguments.shards or made_shards(Path(name))
        index = index_shards(shard_urls(source))
        paths = unpacked(index, Path(name))
        report(index, paths, arguments.seconds, arguments.in_flight)


def report(index: ShardIndex, paths: list[Path], seconds: float, in_flight: int) -> None:
    """Measure and print every way. The loader's caches never hold all clips, unless said."""
    slots = min(in_flight, max(len(index) // 3, BATCH))
    print(f"{len(index)} clips of {index.num_frames.mean():.0f} frames, {slots} in flight")
    print(f"{'way':38} {'windows/s':>10} {'per CPU-s':>10} {'ratio':>6} {'CPU':>6}")
    ways = {
        "decord, 1 thread": decord_windows(paths, 1),
        "decord, its own number of threads": decord_windows(paths, 0),
    }
    for windows in (1, 8, 16, 32, 64, 128):
        ways[f"loader, {windows} windows per clip"] = loader_windows(index, windows, slots)
    for kind in ("thread", "fork"):
        ways[f"loader, 64 windows, 2 workers ({kind})"] = loader_windows(index, 64, slots, 2, kind)
    best_clock = best_cpu = 0.0
    for title, windows in ways.items():
        clock, cpu = rate(windows, seconds, 2 * slots // BATCH)
        windows.close()
        if title.startswith("decord"):
            best_clock, best_cpu = max(best_clock, clock), max(best_cpu, cpu)
            print(f"{title:38} {clock:10.1f} {cpu:10.1f}")
        elif "fork" in title:  # whose CPU seconds are counted elsewhere
            print(f"{title:38} {clock:10.1f} {'':10} {clock / best_clock:6.1f}")
        else:
            ratios = f"{clock / best_clock:6.1f} {cpu / best_cpu:6.1f}"
            print(f"{title:38} {clock:10.1f} {cpu:10.1f} {ratios}")


if __name__ == "__main__":
    main()
