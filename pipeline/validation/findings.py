"""What was checked, and what was found wrong."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline.errors import MediaError

PROPERTIES = {
    "index": "index.json adds up",
    "digest": "each tar has the SHA-256 and the bytes of the index",
    "members": "each sample has flac, json, mp4, npz, in this order, and the tar is whole",
    "recipe": "each member has the SHA-256 of the recipe",
    "count": "samples and seconds of a tar are those of the index",
    "key": "no key twice",
    "table": "samples.parquet names the same samples",
    "split": "no source and no speaker in two splits",
    "schema": "every JSON has the same fields of the same types",
    "facts": "the JSON says what the sample is",
    "arrays": "shapes, types and ranges of the npz",
    "sound": "16 kHz mono, 640 samples per frame",
    "picture": "25 fps, key frames, size, every frame decodes",
    "offset": "scored again, sound and lips are together",
}
"""Name -> what holds where nothing is found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    name: str
    """Of PROPERTIES."""
    file: str
    sample: str
    """Its key; empty where the fault is not one sample's."""
    reason: str

    def line(self) -> str:
        """Return it for a person."""
        return ": ".join(filter(None, (self.file, self.sample, self.name, self.reason)))


@dataclass
class Findings:
    """All faults, and how often each property was looked at."""

    found: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    def check(self, name: str, right: bool, file: str, sample: str, reason: str) -> bool:
        """Count a look; note the fault if it is not right. Returns `right`."""
        assert name in PROPERTIES, name
        self.checked[name] += 1
        if not right:
            self.found.append(Finding(name, file, sample, reason))
        return right

    def media(self, name: str, file: str, sample: str, call: Callable[[], str]) -> None:
        """Count a look that decodes: `call` returns what is wrong, or raises a MediaError."""
        try:
            reason = call()
        except MediaError as error:
            reason = str(error)
        self.check(name, not reason, file, sample, reason)

    def add(self, others: "Findings", below: str) -> None:
        """Add what was found in a folder below.

        Args:
            below: goes before the names of its files.
        """
        self.found += [replace(one, file=f"{below}{one.file}") for one in others.found]
        self.checked += others.checked

    def faults(self, name: str) -> int:
        """Return how many faults a property has."""
        return sum(one.name == name for one in self.found)

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "checked": {name: self.checked[name] for name in PROPERTIES},
            "found": [asdict(one) for one in self.found],
        }
