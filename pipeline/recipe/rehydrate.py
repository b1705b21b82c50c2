"""A recipe and a folder of films -> the shards, byte for byte, and what is missing or differs."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.atomic import write_json
from pipeline.digest import file_sha256
from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import run_stage
from pipeline.engine.joining import SEPARATOR
from pipeline.engine.outcome import Outcome
from pipeline.errors import ParamsError, SourceError
from pipeline.faces.open import weights_of
from pipeline.media.spans import spans_of
from pipeline.params.curation import FacesParams
from pipeline.params.environment import environment
from pipeline.recipe.rebuild_stage import FilmToRebuild, Rebuild, video_of
from pipeline.recipe.record import Recipe, RecipeHeader, SampleRecord
from pipeline.recipe.versions import byte_versions, other_versions
from pipeline.remote import version_of
from pipeline.shard_index.index_file import INDEX
from pipeline.shards.packing import index_of, tier_counts
from pipeline.shards.tar import MEMBERS, write_tar
from pipeline.sources import Source, list_sources, local_copy
from pipeline.tables.rows import FPS, Video

WORK = ".rehydrate"
"""Folder of finished samples below the output, where LIPFORGE_CACHE names no other."""
REPORT = "rehydrated.json"
READERS = 4


@dataclass(frozen=True, slots=True)
class SampleEnd:
    """What became of one sample."""

    clip_id: str
    video_id: str
    shard: str
    num_frames: int
    split: str
    ending: str
    """`identical`, `differs` or `missing`."""
    why: str = ""
    artifact: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Rehydrated:
    """The endings of all samples, and of the tars and the index."""

    samples: Sequence[SampleEnd]
    films: Mapping[str, Video]
    """By digest."""
    tars_differ: Sequence[str] = ()
    """Tars that are complete but have other bytes."""
    namesakes: Mapping[str, str] = field(default_factory=dict)
    """Digest of a film that is missing -> a file of its name that has other bytes."""

    def count(self, ending: str) -> int:
        """Return how many samples ended so."""
        return sum(one.ending == ending for one in self.samples)

    @property
    def whole(self) -> bool:
        """Whether every byte is that of the recipe."""
        return self.count("identical") == len(self.samples) and not self.tars_differ

    def to_json(self) -> dict[str, Any]:
        """Return the content of the report: no path of this machine."""
        missing = sorted({one.video_id for one in self.samples if one.ending == "missing"})
        return {
            "samples": len(self.samples),
            **{name: self.count(name) for name in ("identical", "differs", "missing")},
            "differing": {one.clip_id: one.why for one in self.samples if one.ending == "differs"},
            "missing_films": [
                {"sha256": one, "uri": self.films[one].uri, "url": self.films[one].url}
                for one in missing
            ],
            "namesakes": dict(self.namesakes),
            "tars_that_differ": list(self.tars_differ),
        }


def params_of(header: RecipeHeader) -> FacesParams:
    """Return the parameters that the clips were made with.

    Raises:
        ParamsError: this version of lipforge does not know them.
    """
    try:
        return FacesParams(**header.faces)
    except ValueError as error:
        fix = "install the version of lipforge it was made with"
        raise ParamsError(f"the recipe's section `faces`: {error}; {fix}") from error


def differences_here(header: RecipeHeader) -> list[str]:
    """Return a line for every library and network of this machine by which bytes may differ.

    Raises:
        WeightsError: a model file is absent.
    """
    params = params_of(header)
    found = other_versions(header.versions, byte_versions(params.backend))
    here = weights_of(params)
    return found + [
        f"network {name} is another file here"
        for name, sha256 in sorted(header.weights.items())
        if here.get(name) != sha256
    ]


def rehydrate_into(recipe: Recipe, videos: str, out: Path) -> Rehydrated:
    """Rebuild the shards of a recipe; what is finished already is not made again.

    Raises:
        SourceError: nothing at `videos`.
        ManifestError: the recipe is damaged.
        StorageError: the output cannot be written.
    """
    films, lines = _by_film(recipe)
    listed = _listed(videos)
    where = found_films(films.values(), listed)
    cache = open_cache(environment().cache or str(out / WORK))
    items = [one for film in sorted(where) for one in _items(films[film], where[film], lines[film])]
    outcomes = run_stage(Rebuild(params_of(recipe.header)), items, cache=cache)
    ends = _ends(recipe, where, outcomes)
    differ = _pack(recipe.header, ends, out, cache)
    result = Rehydrated(ends, films, differ, _namesakes(films, where, listed))
    write_json(out / REPORT, result.to_json())
    if result.whole and not environment().cache:
        shutil.rmtree(out / WORK)
    return result


def found_films(films: Iterable[Video], listed: Sequence[Source]) -> dict[str, str]:
    """Return digest -> location of the films that are among the files, whatever their names.

    Only files of a wanted size are read.
    """
    wanted = {film.size_bytes for film in films}
    ids = {film.video_id for film in films}

    def read(one: Source) -> tuple[str, str]:
        if _size(one.location) not in wanted:
            return "", ""
        with local_copy(one.location) as path:
            return file_sha256(path), one.location

    with ThreadPoolExecutor(READERS) as threads:
        found = dict(reversed(list(threads.map(read, listed))))
    return {video_id: location for video_id, location in found.items() if video_id in ids}


def _size(location: str) -> int:
    if "://" in location:
        return version_of(location)[1]
    path = Path(location)
    return path.stat().st_size if path.is_file() else -1


def _listed(videos: str) -> list[Source]:
    try:
        return list_sources(videos)
    except SourceError as error:
        said = str(error).removeprefix("params.yaml: ingest.source: ")
        raise SourceError(f"--videos {said}") from error


def _by_film(recipe: Recipe) -> tuple[dict[str, Video], dict[str, list[str]]]:
    films: dict[str, Video] = {}
    lines: dict[str, list[str]] = {}
    for line, record in zip(recipe.lines(), recipe.samples(), strict=True):
        films.setdefault(record.video_id, video_of(record.facts))
        lines.setdefault(record.video_id, []).append(line)
    return films, lines


def _items(film: Video, location: str, lines: Sequence[str]) -> list[FilmToRebuild]:
    """Return an item per span that has samples, as `faces` had one per span."""
    spans = spans_of(film)
    if len(spans) == 1:
        return [FilmToRebuild(film, location, None, tuple(lines))]
    starts = {line: SampleRecord.of_line(line).clip_start for line in lines}
    inside = {span: [one for one in lines if span[0] <= starts[one] < span[1]] for span in spans}
    return [FilmToRebuild(film, location, span, tuple(own)) for span, own in inside.items() if own]


def _ends(recipe: Recipe, where: Mapping[str, str], outcomes: Sequence[Outcome]) -> list[SampleEnd]:
    rows = {
        str(part.row["clip_id"]): (part, one.key)
        for one in outcomes
        for part in one.parts
        if part.row
    }
    failed = {
        one.item_id.partition(SEPARATOR)[0]: f"{one.reason}: {one.detail}"
        for one in outcomes
        if one.status in ("failed", "quarantined")
    }
    return [_end(one, where, rows, failed) for one in recipe.samples()]


def _end(
    record: SampleRecord,
    where: Mapping[str, str],
    rows: Mapping[str, Any],
    failed: Mapping[str, str],
) -> SampleEnd:
    named = record.clip_id, record.video_id, record.shard, record.end_frame - record.start_frame
    split = str(record.facts["split"])
    if record.video_id not in where:
        return SampleEnd(*named, split, "missing", "no file has the film's bytes")
    if record.clip_id not in rows:
        return SampleEnd(*named, split, "differs", failed.get(record.video_id, "not made"))
    part, key = rows[record.clip_id]
    if part.status == "kept":
        return SampleEnd(*named, split, "identical", "", key, str(record.facts.get("tier", "")))
    return SampleEnd(*named, split, "differs", f"other bytes: {part.detail}")


def _pack(header: RecipeHeader, ends: Sequence[SampleEnd], out: Path, cache: Cache) -> list[str]:
    """Write the tars of what is identical, and the index; return the tars that differ."""
    wanted = {one["name"]: one for one in header.index["shards"]}
    differ, entries = [], []
    for name in sorted(wanted):
        members = sorted((one for one in ends if one.shard == name), key=lambda one: one.clip_id)
        here = [one for one in members if one.ending == "identical"]
        if not here:
            (out / name).unlink(missing_ok=True)
            continue
        entry = _write_tar(out, name, here, cache)
        entries.append(entry)
        if len(here) == len(members) and entry["sha256"] != wanted[name]["sha256"]:
            differ.append(name)
    whole = not differ and all(one.ending == "identical" for one in ends)
    write_json(out / INDEX, header.index if whole else index_of(entries))
    return differ


def _write_tar(out: Path, name: str, here: Sequence[SampleEnd], cache: Cache) -> dict[str, Any]:
    files = [
        (f"{one.clip_id}.{suffix}", cache.artifact_path(one.artifact, f"{one.clip_id}.{suffix}"))
        for one in here
        for suffix in MEMBERS
    ]
    write_tar(out / name, files)
    tiers = tier_counts(one.tier for one in here)
    return {
        "name": name,
        "split": here[0].split,
        "sha256": file_sha256(out / name),
        "bytes": (out / name).stat().st_size,
        "samples": len(here),
        "seconds": sum(one.num_frames for one in here) / FPS,
        **({"tiers": tiers} if tiers else {}),
    }


def _namesakes(
    films: Mapping[str, Video], where: Mapping[str, str], listed: Sequence[Source]
) -> dict[str, str]:
    """Return, for films that are missing, a file of the same name, which has other bytes."""
    names = {PurePosixPath(one.uri).name: one.uri for one in reversed(listed)}
    missing = [film for video_id, film in sorted(films.items()) if video_id not in where]
    said = {film.video_id: PurePosixPath(film.uri).name for film in missing}
    return {video_id: names[name] for video_id, name in said.items() if name in names}
