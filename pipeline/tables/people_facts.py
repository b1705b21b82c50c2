"""What `select` has found out about persons: data/select/people.json, for pages and cards."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.errors import ManifestError

FILE = Path("select/people.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPair:
    """Two clips and how alike their persons are."""

    one: str
    two: str
    face_distance: float
    voice_cosine: float | None
    """None where one of them does not speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who is in the selected clips, and how well the splits keep them apart."""

    persons: int
    clips_without: int
    """Clips without an embedding of the face."""
    tolerance: float
    split_by: str
    """`person` or `source`: what the groups were made of."""
    shared: int
    """Persons on both sides of train and held-out clips; 0 by construction for `person`."""
    nearest: NearPair | None
    """The closest pair of a training and a held-out clip."""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def write_people(data: Path, people: People) -> None:
    """Write the file.

    Raises:
        StorageError: the disk is full or not writable.
    """
    write_json(data / FILE, people.facts())


def read_people(data: Path) -> People | None:
    """Return what the file says; None where `select` has not run.

    Raises:
        ManifestError: it is damaged.
    """
    path = data / FILE
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        nearest = facts.pop("nearest")
        return People(**facts, nearest=NearPair(**nearest) if nearest else None)
    except (ValueError, TypeError, KeyError) as error:
        raise ManifestError(f"{path}: damaged: {error}; run `dvc repro -f -s select`") from error
