"""Many entries of a remote cache looked up at once: what is there by listing, what it says by GETs.

A listing says which objects an entry has, their sizes and their ETags: 1000 objects a request, so
it costs less than a request for each file. The metas come one by one, many in flight; or, where an
earlier run has left them, from a pack: one object with the metas of a stage whose keys begin
alike. A pack is a hint: a row counts only if the listing names the very ETag under which it was
read, and if the meta in it has its own digest.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipeline.engine.entry import META, parsed, say_damaged
from pipeline.remote import is_final, until_answered

LISTINGS = 64
"""Listings in flight."""
GETS = 128
"""Metas in flight."""
PAGE = 1000
"""Objects in one answer to a listing: the most that S3 gives."""
PACKED_FROM = 1000
"""Items of one look-up from which on packs are read and written."""
S3 = ("s3", "s3a")

Listed = Mapping[str, tuple[int, str]]
"""File name -> size in bytes and ETag; the ETag is empty where the store has none."""


@dataclass(frozen=True, slots=True)
class BulkLookup:
    """The objects below `root`, a path of the fsspec file system `fs`."""

    fs: Any
    root: str
    attempts: int

    def find(self, keys: Iterable[str], stage: str) -> dict[str, dict[str, Any]]:
        """Return the stored outcomes of the entries that are whole.

        Raises:
            Exception: of the store's client, after `attempts` attempts.
        """
        groups = _by_prefix(keys)
        packed = sum(len(group) for group in groups.values()) >= PACKED_FROM
        found = {}
        for start in range(0, len(groups), LISTINGS):  # the texts of all at once would be large
            some = [
                key for prefix in sorted(groups)[start : start + LISTINGS] for key in groups[prefix]
            ]
            found.update(self._find(some, stage, packed))
        return found

    def _find(self, keys: Iterable[str], stage: str, packed: bool) -> dict[str, dict[str, Any]]:
        listed = {key: files for key, files in self.listed(keys).items() if META in files}
        groups = _by_prefix(listed)
        rows = self._packs(groups, stage) if packed else {}
        known = {key: meta for key in listed if (meta := _hinted(rows.get(key), listed[key]))}
        fetched = self.metas([key for key in listed if key not in known])
        metas = {**known, **fetched}
        if packed and fetched:
            self._write_packs(groups, stage, listed, metas, rows, fetched)
        outcomes = {key: self._parsed(key, meta) for key, meta in metas.items()}
        return {k: one for k, one in outcomes.items() if one and self._whole(k, one, listed[k])}

    def listed(self, keys: Iterable[str]) -> dict[str, Listed]:
        """Return the objects of each entry that has any."""
        groups = list(_by_prefix(keys).values())
        of_group = self._listed_s3 if self._is_s3 else self._listed_each
        found: dict[str, Listed] = {}
        with ThreadPoolExecutor(LISTINGS) as threads:
            for one in threads.map(of_group, groups):
                found.update(one)
        return found

    def metas(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the text of each meta.json that is there."""
        paths = {self.path(key, META): key for key in keys}
        found = self._read(list(paths))
        return {paths[path]: text for path, text in found.items()}

    def path(self, key: str, *names: str) -> str:
        """Return where an entry or a file of it lies."""
        return "/".join((self.root, key[:2], key, *names))

    @property
    def _is_s3(self) -> bool:
        return bool(set(S3) & set(self.fs.protocol if isinstance(self.fs.protocol, tuple) else ()))

    def _listed_each(self, keys: Sequence[str]) -> dict[str, Listed]:
        found = {key: self._objects(key) for key in keys}
        return {key: files for key, files in found.items() if files}

    def _objects(self, key: str) -> Listed:
        objects = until_answered(lambda: self.fs.find(self.path(key), detail=True), self.attempts)
        return {
            str(path).rsplit("/", 1)[1]: (int(facts["size"]), str(facts.get("etag", "")))
            for path, facts in objects.items()
        }

    def _listed_s3(self, keys: Sequence[str]) -> dict[str, Listed]:
        """List one prefix; jump over what nobody asks for: at most a request per key or page."""
        bucket, _, base = f"{self.root}/{keys[0][:2]}/".partition("/")
        found: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
        left, after = sorted(keys, reverse=True), ""
        while left:
            after = max(after, base + left[-1])
            page = self._page(bucket, base if len(keys) > 1 else f"{base}{keys[0]}/", after)
            for one in page.get("Contents", ()):
                key, _, name = one["Key"].removeprefix(base).partition("/")
                found[key][name] = (int(one["Size"]), one.get("ETag", "").strip('"'))
                after = one["Key"]
            if not page.get("IsTruncated"):
                break
            last = after.removeprefix(base).partition("/")[0]
            while left and left[-1] < last:
                left.pop()
        return {key: found[key] for key in keys if key in found}

    def _page(self, bucket: str, prefix: str, after: str) -> dict[str, Any]:
        place = {"Bucket": bucket, "Prefix": prefix, "StartAfter": after, "MaxKeys": PAGE}
        page: dict[str, Any] = until_answered(
            lambda: self.fs.call_s3("list_objects_v2", **place), self.attempts
        )
        return page

    def _read(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the text of the objects that are there; those that fail are asked for again."""
        found: dict[str, str] = {}
        left = list(paths)

        def once() -> None:
            answers = self._cat(left)
            found.update({p: a.decode() for p, a in answers.items() if isinstance(a, bytes)})
            faults = {p: a for p, a in answers.items() if isinstance(a, Exception)}
            faults = {p: a for p, a in faults.items() if not isinstance(a, FileNotFoundError)}
            left[:] = faults
            for fault in sorted(faults.values(), key=is_final, reverse=True)[:1]:
                raise fault

        until_answered(once, self.attempts)
        return found

    def _cat(self, paths: Sequence[str]) -> dict[str, Any]:
        if not paths:
            return {}
        many = {"batch_size": GETS} if self.fs.async_impl else {}
        answers: dict[str, Any] = self.fs.cat(list(paths), on_error="return", **many)
        return answers

    def _parsed(self, key: str, meta: str) -> dict[str, Any] | None:
        try:
            return parsed(meta.encode())
        except ValueError:
            say_damaged(self.path(key, META))
            return None

    def _whole(self, key: str, stored: Mapping[str, Any], listed: Listed) -> bool:
        for name, facts in stored["files"].items():
            if listed.get(name, (-1, ""))[0] != facts["bytes"]:
                say_damaged(self.path(key, name))
                return False
        return True

    def _pack(self, stage: str, prefix: str) -> str:
        return f"{self.root}/packs/{stage}/{prefix}.jsonl"

    def _packs(self, prefixes: Iterable[str], stage: str) -> dict[str, list[str]]:
        found = self._read([self._pack(stage, prefix) for prefix in prefixes])
        return {row[0]: row for text in found.values() for row in _rows(text)}

    def _write_packs(
        self,
        groups: Mapping[str, Sequence[str]],
        stage: str,
        listed: Mapping[str, Listed],
        metas: Mapping[str, str],
        rows: Mapping[str, list[str]],
        new: Iterable[str],
    ) -> None:
        """Write the packs that lack something; as many rows of others stay as are its own."""
        others = _by_prefix(set(rows) - set(listed))

        def write(prefix: str) -> None:
            mine = [key for key in groups[prefix] if key in metas and listed[key][META][1]]
            lines = [[key, listed[key][META][1], metas[key]] for key in mine]
            lines += [rows[key] for key in sorted(others.get(prefix, ()))[: len(mine)]]
            text = "".join(json.dumps(line) + "\n" for line in sorted(lines))
            path = self._pack(stage, prefix)
            until_answered(lambda: self.fs.pipe_file(path, text.encode()), self.attempts)

        with ThreadPoolExecutor(LISTINGS) as threads:
            list(threads.map(write, sorted(_by_prefix(new))))


def _by_prefix(keys: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        groups[key[:2]].append(key)
    return groups


def _rows(pack: str) -> Iterator[list[str]]:
    for line in pack.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a hint that was damaged: the entry itself is asked
        if isinstance(row, list) and len(row) == 3 and all(isinstance(one, str) for one in row):
            yield row


def _hinted(row: list[str] | None, listed: Listed) -> str:
    """Return the meta of a pack's row if it is the one that the listing names, else nothing."""
    if row is None or not listed[META][1] or row[1] != listed[META][1]:
        return ""
    try:
        parsed(row[2].encode())
    except ValueError:
        return ""
    return row[2]
