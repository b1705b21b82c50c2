"""The answer of a pre-flight: findings and verdicts, the same on all ranks; the first prints it."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.atomic import write_json
from pipeline.errors import LipforgeError
from trainers.preflight.checks import Check, SplitFindings, Verdict, worst_verdict
from trainers.preflight.terminal_table import print_preflight
from trainers.processes.world import World

logger = logging.getLogger(__name__)


class PreflightError(LipforgeError):
    """A check before training says that the training cannot succeed."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """Findings, and the verdicts of the checks."""

    system: str
    """What is trained, for people."""
    name: str
    """Of the profile."""
    profile: dict[str, Any]
    findings: SplitFindings
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The severest of the checks."""
        return worst_verdict(self.checks)

    def content(self) -> dict[str, Any]:
        """Return all of it for a JSON file."""
        return {
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.checks],
            "name": self.name,
            "profile": self.profile,
            "findings": asdict(self.findings),
        }

    def require(self) -> None:
        """Raise if a check says stop.

        Raises:
            PreflightError: with every finding that says so, and what to do.
        """
        stops = [one for one in self.checks if one.verdict == "stop"]
        if stops:
            lines = [f"  {one.name}: {one.finding}. Fix: {one.fix}" for one in stops]
            header = f"{self.system} would not learn from this (docs/preflight.md):"
            raise PreflightError("\n".join([header, *lines]))


def answered(examine: Callable[[], Preflight], world: World) -> Preflight:
    """Examine on the first rank while the others wait; print the answer and return it on all.

    Every rank must call it.

    Raises:
        LipforgeError: what `examine` raised, on all ranks.
    """
    answer = world.by_first(examine)
    if world.first:
        console = Console(stderr=True)
        print_preflight(answer.system, answer.checks, answer.findings, answer.verdict, console)
    return answer


def load_kept(kept: Path | None, key: str) -> Mapping[str, Any] | None:
    """Return what `store_kept` stored under the same key, if anything."""
    if kept is None or not kept.is_file():
        return None
    content: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    if content.pop("key") != key:
        return None
    logger.info("pre-flight: the slow parts as found before (%s)", kept)
    return content


def store_kept(kept: Path | None, key: str, content: Mapping[str, Any]) -> None:
    """Keep the slow parts of a pre-flight in the run's folder, for a later start.

    Raises:
        StorageError: it cannot be written.
    """
    if kept is not None:
        write_json(kept, {"key": key, **content})
