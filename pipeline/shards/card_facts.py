"""What the data card says in numbers, counted from the tables of a run alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pipeline.tables.rows import FPS, Sample
from pipeline.tables.run_tables import Record, RunTables

DURATIONS_S = (3, 4, 5, 6, 8, 10)
"""Bounds of the card's classes of length."""
OFFSETS_FRAMES = (0.5, 1.5, 3.5, 6.5, 12.5)
"""Bounds of the card's classes of the offset that was taken out, either way."""
MEASURES: Mapping[str, tuple[str, str, int]] = {
    "face_px": ("face size, longer side of its box in the film", "px", 0),
    "sharpness": ("sharpness, variance of the Laplacian of the crop", "levels^2", 0),
    "luma_mean": ("brightness of the face", "0 to 255", 0),
    "yaw_deg": ("yaw, 95th percentile of its size over the clip", "degrees", 1),
    "pitch_deg": ("pitch, likewise", "degrees", 1),
    "roll_deg": ("roll, likewise", "degrees", 1),
    "mouth_movement": ("movement of the lips", "distances between the eyes", 3),
    "speech_share": ("share of time with speech", "0 to 1", 2),
    "snr_db": ("speech over the rest of the sound", "dB", 1),
}
"""Column of `quality` -> what it is, its unit, decimals."""
HEARD = ("language", "transcript")
QUANTILES = (0, 10, 50, 90, 100)


@dataclass(frozen=True, slots=True)
class Spread:
    """How one number is spread over the samples."""

    name: str
    unit: str
    values: tuple[str, ...]
    """At QUANTILES, as text."""


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """One split."""

    name: str
    samples: int
    seconds: float
    sources: int
    persons: int


@dataclass(slots=True)
class CardFacts:
    """All of them."""

    spreads: list[Spread] = field(default_factory=list)
    durations: list[tuple[str, int]] = field(default_factory=list)
    offsets: list[tuple[str, int]] = field(default_factory=list)
    splits: list[SplitFacts] = field(default_factory=list)
    largest_source: float = 0.0
    """Share of all seconds that is of one film."""
    largest_person: float = 0.0
    """Share of all seconds that is of one person, of those with one."""
    heard: list[tuple[str, int, float]] = field(default_factory=list)
    """Language as a recognizer heard it, its samples, its seconds; most first."""
    transcribed: int = 0
    """Samples with a transcript; an empty one counts."""


def card_facts(tables: RunTables) -> CardFacts:
    """Count the packed samples; all empty before `shards` has run."""
    samples = list(tables.each_kept("shards", Sample)) if tables.exists("shards") else []
    if not samples:
        return CardFacts()
    persons, rows = _persons(tables), _rows_of(tables, {one.source_clip_id for one in samples})
    seconds = [one.num_frames / FPS for one in samples]
    offsets = [one.offset_applied_frames for one in samples]
    return CardFacts(
        spreads=[
            _spread("duration", "s", 1, seconds),
            *_measured(rows, samples),
            _spread("offset that was taken out, positive: sound early", "frames", 2, offsets),
            _spread(
                "offset measured again afterwards, landmark judge",
                "frames",
                2,
                [one.rescored_offset_frames for one in samples],
            ),
        ],
        durations=_classes(seconds, DURATIONS_S, "s"),
        offsets=_classes([abs(one) for one in offsets], OFFSETS_FRAMES, "frames"),
        splits=list(_splits(samples, persons)),
        largest_source=_largest(samples, {one.clip_id: one.video_id for one in samples}),
        largest_person=_largest(samples, persons),
        heard=_languages(rows, samples),
        transcribed=sum(_heard(rows, one)["transcript"] is not None for one in samples),
    )


def _heard(rows: Mapping[str, Record], sample: Sample) -> Record:
    return rows.get(sample.source_clip_id, dict.fromkeys(HEARD))


def _languages(
    rows: Mapping[str, Record], samples: Sequence[Sample]
) -> list[tuple[str, int, float]]:
    counts, frames = Counter[str](), Counter[str]()
    for one in samples:
        if language := _heard(rows, one)["language"]:
            counts[language] += 1
            frames[language] += one.num_frames
    return [(name, counts[name], found / FPS) for name, found in frames.most_common()]


def _persons(tables: RunTables) -> dict[str, str]:
    """Return clip_id -> person of the selected parts that have one."""
    rows = tables.each("select", ("status", "clip_id", "person"))
    return {one["clip_id"]: one["person"] for one in rows if one.get("person")}


def _measured(rows: Mapping[str, Record], samples: Sequence[Sample]) -> Iterator[Spread]:
    for column, (name, unit, decimals) in MEASURES.items():
        values = [rows[one.source_clip_id][column] for one in samples if one.source_clip_id in rows]
        if values:
            yield _spread(name, unit, decimals, values)


def _rows_of(tables: RunTables, wanted: set[str]) -> dict[str, Record]:
    names = (*MEASURES, *HEARD)
    rows = tables.each("quality", ("status", "clip_id", *names))
    return {
        one["clip_id"]: {name: one.get(name) for name in names}
        for one in rows
        if one["status"] == "kept" and one["clip_id"] in wanted
    }


def _spread(name: str, unit: str, decimals: int, values: Sequence[float]) -> Spread:
    found = np.percentile(np.asarray(values, np.float64), QUANTILES, method="nearest")
    return Spread(name, unit, tuple(f"{one + 0.0:.{decimals}f}" for one in found))


def _classes(values: Iterable[float], bounds: Sequence[float], unit: str) -> list[tuple[str, int]]:
    """Return (class, count), from under the first bound to the last and more; empty ones too."""
    found = Counter(int(np.searchsorted(bounds, value, "right")) for value in values)
    names = [
        f"under {bounds[0]:g} {unit}",
        *(f"{low:g} to {high:g} {unit}" for low, high in pairwise(bounds)),
        f"{bounds[-1]:g} {unit} and more",
    ]
    return [(name, found[number]) for number, name in enumerate(names)]


def _splits(samples: Sequence[Sample], persons: Mapping[str, str]) -> Iterator[SplitFacts]:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        groups[one.split].append(one)
    for name, some in sorted(groups.items()):
        yield SplitFacts(
            name=name,
            samples=len(some),
            seconds=sum(one.num_frames for one in some) / FPS,
            sources=len({one.video_id for one in some}),
            persons=len({persons[one.clip_id] for one in some if one.clip_id in persons}),
        )


def _largest(samples: Sequence[Sample], owner: Mapping[str, str]) -> float:
    frames = Counter[str]()
    for one in samples:
        if one.clip_id in owner:
            frames[owner[one.clip_id]] += one.num_frames
    return max(frames.values()) / frames.total() if frames else 0.0
