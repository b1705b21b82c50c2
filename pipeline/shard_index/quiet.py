"""Silent and listening clips: a data set of its own in a folder of the shards, for who names it.

It has the layout of the shards, an index of its own, and the splits of the same people and films.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.tables.rows import QUIET_TIERS

QUIET = "quiet"
"""Folder below the shards."""


def is_quiet(index: Mapping[str, Any]) -> bool:
    """Return whether an index.json is that of quiet clips."""
    return any(tier in one.get("tiers", {}) for one in index["shards"] for tier in QUIET_TIERS)
