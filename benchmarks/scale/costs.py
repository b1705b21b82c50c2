"""Core-hours, wall clock, storage, requests and money of large corpora, from measured unit costs.

`python -m benchmarks.scale --costs` prints the tables of docs/scale.md. What goes in stands
in this file: whoever pays other prices or has measured other costs replaces them and prints again.
"""

from dataclasses import dataclass

HOUR_S = 3600.0
FPS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What goes in."""

    name: str
    hours: float
    film_s: float
    """Mean length of a file."""
    clip_s: float
    """Mean length of a clip of one face."""
    face_share: float
    """Seconds of clips per second of film."""
    mbit_s: float
    """Mean rate of the source files."""

    @property
    def films(self) -> float:
        """Number of files."""
        return self.hours * HOUR_S / self.film_s

    @property
    def clip_hours(self) -> float:
        """Hours of clips, before any is refused."""
        return self.hours * self.face_share

    @property
    def clips(self) -> float:
        """Number of clips."""
        return self.clip_hours * HOUR_S / self.clip_s


CORPORA = (
    Corpus(name="VoxCeleb2", hours=2442, film_s=7.8, clip_s=7.8, face_share=1.0, mbit_s=0.6),
    Corpus(name="crawl", hours=100_000, film_s=600, clip_s=6.0, face_share=0.5, mbit_s=4.0),
)
"""VoxCeleb2 as it is handed out: one file per utterance. The crawl is assumed, not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What one stage takes; CPU seconds of one thread of the processor of docs/performance.md."""

    stage: str
    per: str
    """`film`, `clip` or `sample`: what an item is."""
    cpu_s: float
    """Per second of film, or of clip."""
    driver_ms: float
    """CPU of the driver per item: plan, Ray, events, table; not the look-up in an object store."""
    puts: float
    """Objects written per item, its meta.json included, but for the clips' files."""
    gets: float
    """Objects read per item: the look-up, meta.json and files of what it reads."""


STAGES = (
    StageCost(stage="ingest", per="film", cpu_s=0.0066, driver_ms=0.05, puts=1, gets=2),
    StageCost(stage="scenes and faces", per="film", cpu_s=0.28, driver_ms=0.10, puts=2, gets=4),
    StageCost(stage="sync", per="clip", cpu_s=0.0050, driver_ms=0.08, puts=2, gets=5),
    StageCost(stage="stretches", per="film", cpu_s=0.0010, driver_ms=0.05, puts=1, gets=1),
    StageCost(stage="quality", per="clip", cpu_s=0.015, driver_ms=0.25, puts=1, gets=5),
    StageCost(stage="shards", per="sample", cpu_s=0.0145, driver_ms=0.10, puts=5, gets=6),
)
CLIP_FILES = 3
"""Objects of a clip that `faces` writes beside meta.json: mp4, flac, npz."""
DISTANCES_PER_CLIP = 2
"""Objects that `stretches` reads per clip: meta.json and the distances."""
LOOK_UP_MS = 0.32
"""Wall clock per look-up in an object store: 100,000 in 32 s, the slower of two runs
(docs/storage.md, from packs)."""
ALONE_MS = {"select": 0.236, "report": 0.076, "pack": 0.21}
"""CPU milliseconds per clip of what runs on the driver alone; of packing, which workers do, the
plan and the index (docs/shards.md: 2.1 CPU-s for 10,000 samples)."""
SAMPLE_SHARE = 0.7
"""Seconds that get into the shards, per second of clips."""
WINDOWS_S = 1800.0
"""Windows per second of the SyncNet judge on one H100, one per frame."""
JUDGE_CPU_S = 0.06
"""CPU seconds per second of clip that decode the film once more for the SyncNet judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Bytes per second, and rows."""

    clip_s: float = 269e3
    """Item cache per second of clip: mp4, flac, npz, distances."""
    sample_s: float = 248e3
    """Per second of sample, in the item cache and again in the tars."""
    faces_row: float = 29.0
    sync_row: float = 310.0
    quality_row: float = 888.0
    stretches_row: float = 23.0
    select_row: float = 105.0
    samples_row: float = 27.0

    @property
    def rows(self) -> dict[str, float]:
        """Return table -> bytes per clip."""
        return {
            "faces": self.faces_row,
            "sync": self.sync_row,
            "stretches": self.stretches_row,
            "quality": self.quality_row,
            "select": self.select_row,
            "shards": self.samples_row,
        }


STORED = Stored()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One list price in US dollars."""

    what: str
    dollars: float
    unit: str
    source: str
    verified: str


PRICES = {
    "core": Price(
        what="a core: two vCPUs of c5.4xlarge ($0.68 for 16)",
        dollars=0.085,
        unit="hour",
        source="docs.aws.amazon.com/autoscaling/ec2/userguide (an example price, us-east-1)",
        verified="stored copy, undated, read 2026-11-27; says itself that it is an example",
    ),
    "gpu": Price(
        what="an H100: one of eight of p5.48xlarge, capacity block",
        dollars=4.916,
        unit="hour",
        source="aws.amazon.com/ec2/capacityblocks/pricing",
        verified="stored copy that announces a change on 2025-01-01, read 2026-11-27",
    ),
    "store": Price(
        what="S3 Standard, first 50 TB",
        dollars=0.023,
        unit="GB and month",
        source="aws.amazon.com/s3/pricing",
        verified="not there; quoted by others, undated, read 2026-11-27",
    ),
    "put": Price(
        what="S3 PUT",
        dollars=0.005,
        unit="1,000 requests",
        source="aws.amazon.com/s3/pricing",
        verified="not there; quoted by others, undated, read 2026-11-27",
    ),
    "get": Price(
        what="S3 GET",
        dollars=0.0004,
        unit="1,000 requests",
        source="aws.amazon.com/s3/pricing",
        verified="not there; quoted by others, undated, read 2026-11-27",
    ),
}

DRIVER_KB = {"a stage of clips (`quality`)": 1.9, "select": 2.6, "report": 5.8}
"""Memory of the driver per clip, from the simulation; on top of DRIVER_MB."""
DRIVER_MB = {"a stage of clips (`quality`)": 1800.0, "select": 200.0, "report": 200.0}
"""What they take at any size: Python, and of a stage the row group that is being merged."""


def items_of(stage: StageCost, corpus: Corpus) -> float:
    """Return the number of items of a stage."""
    by = {"film": corpus.films, "clip": corpus.clips, "sample": corpus.clips * SAMPLE_SHARE}
    return by[stage.per]


def core_hours(stage: StageCost, corpus: Corpus) -> float:
    """Return the core-hours of a stage's workers."""
    share = SAMPLE_SHARE if stage.per == "sample" else 1.0
    hours = corpus.hours if stage.per == "film" else corpus.clip_hours * share
    return hours * stage.cpu_s


def driver_hours(stage: StageCost, corpus: Corpus) -> float:
    """Return the hours that the driver has to do with a stage's items: no core shortens them."""
    return items_of(stage, corpus) * stage.driver_ms / 1e3 / HOUR_S


def alone_hours(corpus: Corpus) -> float:
    """Return the hours in which the driver works and nobody else does."""
    return corpus.clips * sum(ALONE_MS.values()) / 1e3 / HOUR_S


def wall_hours(corpus: Corpus, cores: int) -> float:
    """Return the wall clock: for each stage the workers' part or the driver's, what is longer."""
    stages = (max(core_hours(one, corpus) / cores, driver_hours(one, corpus)) for one in STAGES)
    return sum(stages) + alone_hours(corpus) + look_up_hours(corpus)


def look_up_hours(corpus: Corpus) -> float:
    """Return the hours in which the item cache is asked what it has."""
    return sum(items_of(one, corpus) for one in STAGES) * LOOK_UP_MS / 1e3 / HOUR_S


def judge_gpu_hours(corpus: Corpus) -> float:
    """Return the GPU-hours of the SyncNet judge, if it is asked for."""
    return corpus.clip_hours * HOUR_S * FPS / WINDOWS_S / HOUR_S


def puts(corpus: Corpus) -> float:
    """Return the objects that are written."""
    files = corpus.clips * CLIP_FILES
    return files + sum(items_of(one, corpus) * one.puts for one in STAGES)


def gets(corpus: Corpus) -> float:
    """Return the objects that are read; a clip's files by several stages."""
    distances = corpus.clips * DISTANCES_PER_CLIP
    packed = corpus.clips * SAMPLE_SHARE * 5
    return distances + packed + sum(items_of(one, corpus) * one.gets for one in STAGES)


def stored_gb(corpus: Corpus) -> dict[str, float]:
    """Return what lies on the object store, in units of 10^9 bytes."""
    seconds = corpus.clip_hours * HOUR_S
    samples = seconds * SAMPLE_SHARE * STORED.sample_s / 1e9
    return {
        "sources": corpus.hours * HOUR_S * corpus.mbit_s / 8e3,
        "item cache": seconds * STORED.clip_s / 1e9 + samples,
        "shards": samples,
    }


def dollars(corpus: Corpus) -> dict[str, float]:
    """Return the money by kind; storage for one month."""
    cores = sum(core_hours(one, corpus) for one in STAGES)
    return {
        "cores": cores * PRICES["core"].dollars,
        "requests": puts(corpus) / 1e3 * PRICES["put"].dollars
        + gets(corpus) / 1e3 * PRICES["get"].dollars,
        "storage, one month": sum(stored_gb(corpus).values()) * PRICES["store"].dollars,
        "SyncNet judge, GPU": judge_gpu_hours(corpus) * PRICES["gpu"].dollars,
    }


def most_clips(memory_gb: float) -> dict[str, float]:
    """Return by step how many clips fit a driver of so much memory."""
    return {step: (memory_gb * 1e6 - DRIVER_MB[step] * 1e3) / kb for step, kb in DRIVER_KB.items()}
