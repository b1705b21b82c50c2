"""The key of a page: which clip stands on which side of which limit. It lies beside the page."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.audit.draw import Drawn, DrawnForRule, moment_id
from pipeline.digest import digest
from pipeline.errors import LipforgeError

FORMAT = "lipforge audit key 1"


class AuditError(LipforgeError):
    """A key or a file of labels cannot be used."""


@dataclass(frozen=True, slots=True)
class RuleKey:
    """One limit as it was when its clips were drawn."""

    name: str
    limit: float
    passing: int
    rejected: int
    rejected_alone: int
    drawn: tuple[tuple[str, Drawn], ...]
    """(Id on the page, moment), the clips inside first."""


@dataclass(frozen=True, slots=True)
class Key:
    """All limits of one page."""

    draw: str
    """Names the draw; files of labels carry it."""
    seed: int
    rules: tuple[RuleKey, ...]
    left_out: tuple[str, ...]
    """Ids of moments that the page has no room for."""


def key_of(page: Path) -> Path:
    """Return where the key of a page lies."""
    return page.with_suffix(".key.json")


def make_key(drawn: Sequence[DrawnForRule], seed: int, left_out: Sequence[str]) -> Key:
    """Return the key of what was drawn."""
    rules = tuple(
        RuleKey(
            name=one.limit.name,
            limit=one.limit.limit,
            passing=one.passing,
            rejected=one.rejected,
            rejected_alone=one.rejected_alone,
            drawn=tuple((moment_id(seed, each), each) for each in (*one.inside, *one.outside)),
        )
        for one in drawn
    )
    return Key(_draw(seed, rules, left_out), seed, rules, tuple(left_out))


def _draw(seed: int, rules: Sequence[RuleKey], left_out: Sequence[str]) -> str:
    """Return the name of a draw: a digest of all that its key holds."""
    return digest([seed, [asdict(rule) for rule in rules], list(left_out)])[:16]


def write_key(path: Path, key: Key) -> None:
    """Write the key.

    Raises:
        StorageError: it cannot be written.
    """
    write_json(path, {"format": FORMAT, **asdict(key)})


def read_key(path: Path) -> Key:
    """Read a key.

    Raises:
        AuditError: there is none, it is no key of this version, or not as it was written.
    """
    content = read_object(path, FORMAT, "the page's key; `lipforge audit page` writes it")
    try:
        rules = tuple(_rule(one) for one in content["rules"])
        key = Key(content["draw"], content["seed"], rules, tuple(content["left_out"]))
        whole = _draw(key.seed, rules, key.left_out) == key.draw
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"{path}: a damaged key: {error!r}") from error
    if not whole:
        raise AuditError(f"{path}: was changed since `lipforge audit page` wrote it; restore it")
    return key


def _rule(content: dict[str, Any]) -> RuleKey:
    drawn = tuple((name, Drawn(**one)) for name, one in content["drawn"])
    return RuleKey(**{**content, "drawn": drawn})


def read_object(path: Path, wanted: str, what: str) -> dict[str, Any]:
    """Read a JSON object of one format.

    Raises:
        AuditError: no such file, no JSON, or another format; the message says `what` it must be.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # editors may add a mark
    except OSError as error:
        raise AuditError(f"{path}: cannot be read: {error.strerror}; it must be {what}") from error
    except (ValueError, RecursionError) as error:
        raise AuditError(f"{path}: no JSON: {error}; it must be {what}") from error
    if not isinstance(content, dict) or content.get("format") != wanted:
        raise AuditError(f"{path}: not {what} (format {wanted!r})")
    return content
