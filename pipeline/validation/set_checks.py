"""The checks of a whole data set, tar after tar; nothing but what it says itself is needed."""

import hashlib
import io
import random
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.digest import file_sha256
from pipeline.errors import DecodeError, ManifestError, MediaError
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.recipe.record import Recipe
from pipeline.remote import FETCH_ATTEMPTS, HTTP, file_system, patiently
from pipeline.shard_index.index_file import INDEX, bytes_at, read_index
from pipeline.shard_index.quiet import QUIET, is_quiet
from pipeline.shards.packing import index_of
from pipeline.shards.tar import MEMBERS
from pipeline.sources import local_copy
from pipeline.tables.rows import FPS
from pipeline.validation.findings import Findings
from pipeline.validation.sample_checks import (
    Members,
    arrays_fault,
    facts_fault,
    finite_facts,
    kinds,
    offset_fault,
    picture_fault,
    schema_fault,
    sound_fault,
)

TABLE = "samples.parquet"
ENTRY = {"name", "split", "sha256", "bytes", "samples", "seconds"}
"""What the index says of a shard."""


@dataclass(frozen=True, slots=True)
class ValidationOptions:
    """What is looked at."""

    rescored: int = 32
    """Samples that are scored again, drawn by the seed; 0: none."""
    seed: int = 0
    quick: bool = False
    """Nothing is decoded: digests, names, counts and JSON alone."""
    recipe: Path | None = None
    """Whose digests the members must have."""


@dataclass
class SetValidation:
    """One look at a data set."""

    shards: str
    """Folder or URL of index.json and the tars."""
    options: ValidationOptions
    findings: Findings = field(default_factory=Findings)
    _schema: dict[str, str] = field(default_factory=dict)
    _shard_of: dict[str, str] = field(default_factory=dict)
    _frames_of: dict[str, int] = field(default_factory=dict)
    _splits_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _wanted: dict[str, dict[str, str]] = field(default_factory=dict)
    _judge: LandmarkJudge | None = None

    def run(self) -> Findings:
        """Check everything.

        Raises:
            ManifestError: there is no whole index, or one of a version that is not known.
            UnreadableError: the server refuses.
        """
        index = read_index(self.shards)
        for one in index["shards"]:
            if missing := sorted(ENTRY - set(one)):
                raise ManifestError(f"{self.shards}/{INDEX}: a shard without {missing[0]!r}")
        self._check_index(index)
        self._check_others(index)
        self._wanted = self._recipe_digests()
        if self.options.rescored and not self.options.quick and not is_quiet(index):
            self._judge = LandmarkJudge.load()
        for entry in index["shards"]:
            self._check_tar(entry)
        self._check_offsets()
        self._check_splits()
        self._check_table()
        quiet = self._quiet()
        if quiet:
            self.findings.add(quiet.run(), f"{QUIET}/")
            self._check_together(quiet)
        return self.findings

    def _quiet(self) -> "SetValidation | None":
        """Return the look at the silent and listening clips beside them; None: there are none."""
        folder = f"{self.shards}/{QUIET}"
        if bytes_at(f"{folder}/{INDEX}") is None:
            return None
        return SetValidation(folder, replace(self.options, recipe=None))

    def _check_together(self, quiet: "SetValidation") -> None:
        """Compare both: no key and, across the splits, no source and no group is in both."""
        for key, shard in sorted(quiet._shard_of.items()):
            fault = f"also in {self._shard_of.get(key)}"
            new = key not in self._shard_of
            self.findings.check("key", new, f"{QUIET}/{shard}", key, fault)
        for one in sorted(self._splits_of.keys() & quiet._splits_of.keys()):
            here, there = self._splits_of[one], quiet._splits_of[one]
            fault = f"{one} is in {', '.join(sorted(here))}, quiet clips of it in "
            fault += ", ".join(sorted(there))
            self.findings.check("split", here == there, f"{QUIET}/{INDEX}", "", fault)

    def _check_index(self, index: Mapping[str, Any]) -> None:
        names = [one.get("name", "") for one in index["shards"]]
        twice = len(set(names)) < len(names)
        self.findings.check("index", not twice, "index.json", "", "a tar is named twice")
        made = index_of(index["shards"])
        for name in ("fps", "sample_rate_hz", "splits", "tiers"):
            fault = f"{name} is not that of its shards"
            self.findings.check("index", made.get(name) == index.get(name), "index.json", "", fault)
        for one in index["shards"]:
            right = one.get("name", "").partition("/")[0] == one.get("split")
            fault = f"{one.get('name')} is of split {one.get('split')}"
            self.findings.check("index", right, "index.json", "", fault)

    def _check_others(self, index: Mapping[str, Any]) -> None:
        """Look for tars that the index does not name; plain HTTP lists nothing."""
        if self.shards.startswith(HTTP):
            return
        fs, path = file_system(self.shards)
        found = patiently(lambda: fs.glob(f"{path}/*/*.tar"), "cannot be listed", FETCH_ATTEMPTS)
        names = {one["name"] for one in index["shards"]}
        for name in sorted("/".join(one.rsplit("/", 2)[1:]) for one in found):
            fault = "a tar that index.json does not name"
            self.findings.check("index", name in names, name, "", fault)

    def _recipe_digests(self) -> dict[str, dict[str, str]]:
        if self.options.recipe is None:
            return {}
        return {
            one.clip_id: {name: member["sha256"] for name, member in one.members.items()}
            for one in Recipe.open(self.options.recipe).samples()
        }

    def _check_tar(self, entry: Mapping[str, Any]) -> None:
        name, findings = entry["name"], self.findings
        try:
            with local_copy(f"{self.shards}/{name}") as path:
                found = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
                for one, value in found.items():
                    fault = f"{one} is {value}, index.json says {entry.get(one)}"
                    findings.check("digest", value == entry.get(one), name, "", fault)
                count, frames = self._check_samples(path, name, entry["split"])
        except MediaError as error:
            findings.check("digest", False, name, "", f"cannot be read: {error}")
            return
        said = f"{count} samples, {frames / FPS:g} s; index.json says {entry.get('samples')}, "
        said += f"{entry.get('seconds')} s"
        right = count == entry.get("samples") and frames / FPS == entry.get("seconds")
        findings.check("count", right, name, "", said)

    def _check_samples(self, path: Path, name: str, split: str) -> tuple[int, int]:
        """Check every sample of a tar; return how many there are, and their frames."""
        count = frames = 0
        try:
            for key, names, members in samples_of(path):
                count += 1
                frames += self._check_sample(name, split, key, names, members)
        except tarfile.TarError as error:
            self.findings.check("members", False, name, "", f"no whole tar: {error}")
        return count, frames

    def _check_sample(
        self, name: str, split: str, key: str, names: Sequence[str], members: Members
    ) -> int:
        findings, where = self.findings, (name, key)
        fault = f"also in {self._shard_of.get(key)}"
        findings.check("key", key not in self._shard_of, *where, fault)
        self._shard_of[key] = name
        if not findings.check("members", tuple(names) == MEMBERS, *where, f"has {list(names)}"):
            return 0
        self._check_digests(where, key, members)
        try:
            facts = finite_facts(members["json"])
        except DecodeError as error:
            findings.check("schema", False, *where, str(error))
            return 0
        self._check_facts(where, key, split, facts)
        if not self.options.quick and _usable(facts):
            findings.media("arrays", *where, lambda: arrays_fault(members["npz"], facts))
            findings.media("sound", *where, lambda: sound_fault(members["flac"], facts))
            findings.media("picture", *where, lambda: picture_fault(members["mp4"], facts))
        self._frames_of[key] = number = _count(facts)
        return number

    def _check_digests(self, where: tuple[str, str], key: str, members: Members) -> None:
        if self.options.recipe is None:
            return
        wanted = self._wanted.get(key)
        if not self.findings.check("recipe", wanted is not None, *where, "not in the recipe"):
            return
        for suffix, content in members.items():
            same = hashlib.sha256(content).hexdigest() == (wanted or {}).get(suffix)
            self.findings.check("recipe", same, *where, f"{suffix} has other bytes")

    def _check_facts(
        self, where: tuple[str, str], key: str, split: str, facts: Mapping[str, Any]
    ) -> None:
        found = kinds(facts)
        self._schema = self._schema or dict(found)
        fault = schema_fault(found, self._schema)
        self.findings.check("schema", not fault, *where, fault)
        for path, kind in found.items():  # a null says nothing of the type
            if self._schema.get(path) == "null":
                self._schema[path] = kind
        fault = facts_fault(facts, key, split)
        self.findings.check("facts", not fault, *where, fault)
        video = facts.get("video")
        source = video.get("video_id") if isinstance(video, Mapping) else None
        for one in (f"source {source}", f"group {facts.get('group')}"):
            self._splits_of[one].add(split)

    def _check_offsets(self) -> None:
        """Score drawn samples again; each of their tars is read once more."""
        if self._judge is None:
            return
        judge, keys = self._judge, sorted(self._frames_of)
        count = min(self.options.rescored, len(keys))
        drawn = set(random.Random(self.options.seed).sample(keys, count))
        for name in sorted({self._shard_of[key] for key in drawn}):
            with local_copy(f"{self.shards}/{name}") as path:
                for key, _, members in samples_of(path):
                    if key in drawn and self._shard_of[key] == name:
                        self._check_offset(name, key, members, judge)

    def _check_offset(self, name: str, key: str, members: Members, judge: LandmarkJudge) -> None:
        def fault() -> str:
            try:
                return offset_fault(key, members, judge)
            except (ValueError, KeyError) as error:
                return f"cannot be scored: {error!r}"

        self.findings.media("offset", name, key, fault)

    def _check_splits(self) -> None:
        for one, splits in sorted(self._splits_of.items()):
            fault = f"{one} is in {', '.join(sorted(splits))}"
            self.findings.check("split", len(splits) == 1, "index.json", "", fault)

    def _check_table(self) -> None:
        """Compare with samples.parquet, which need not be published."""
        content = bytes_at(f"{self.shards}/{TABLE}")
        if content is None:
            return
        columns = ["clip_id", "status", "shard", "num_frames"]
        try:
            rows = pq.ParquetFile(io.BytesIO(content)).read(columns=columns).to_pylist()
            kept = {one["clip_id"]: one for one in rows if one["status"] == "kept"}
        except (OSError, ValueError, KeyError) as error:
            self.findings.check("table", False, TABLE, "", f"cannot be read: {error!r}")
            return
        for key in sorted(kept.keys() | self._shard_of.keys()):
            row, shard = kept.get(key), self._shard_of.get(key)
            fault = f"in {shard or 'no tar'}, the table says {row['shard'] if row else 'nothing'}"
            right = row is not None and row["shard"] == shard
            self.findings.check("table", right, TABLE, key, fault)
            if row and key in self._frames_of:
                fault = f"{self._frames_of[key]} frames, the table says {row['num_frames']}"
                same = row["num_frames"] == self._frames_of[key]
                self.findings.check("table", same, TABLE, key, fault)


def samples_of(path: Path) -> Iterator[tuple[str, list[str], dict[str, bytes]]]:
    """Yield (key, suffixes as they stand, content) of the samples of a tar.

    Raises:
        tarfile.TarError: it is no whole tar.
    """
    key, names, members = "", list[str](), dict[str, bytes]()
    with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            name, _, suffix = member.name.rsplit("/", 1)[-1].partition(".")
            if name != key and names:
                yield key, names, members
                names, members = [], {}
            key = name
            if suffix in members:  # the same key twice in a row
                yield key, names, members
                names, members = [], {}
            content = tar.extractfile(member)
            names.append(suffix)
            members[suffix] = content.read() if content else b""
        if names:
            yield key, names, members
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing or damaged")


def _usable(facts: Mapping[str, Any]) -> bool:
    """Return whether the JSON says enough to look at the other members; else it is named itself."""
    return isinstance(facts.get("clip"), Mapping) and isinstance(facts.get("num_frames"), int)


def _count(facts: Mapping[str, Any]) -> int:
    found = facts.get("num_frames")
    return found if isinstance(found, int) else 0
