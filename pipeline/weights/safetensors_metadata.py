"""The JSON object in the header of our own safetensors files, read without torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipeline.errors import WeightsError

METADATA_KEY = "lipforge"
"""Under which our files keep one JSON object: configuration, and what the trainer gave."""


def with_tuples(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with its lists as tuples, which JSON does not know."""
    return {name: tuple(one) if isinstance(one, list) else one for name, one in section.items()}


def stored_json(path: Path) -> dict[str, Any]:
    """Return the JSON object.

    Raises:
        WeightsError: no such file, or not written by this project.
    """
    try:
        with safe_open(path, framework="np") as file:
            return dict(json.loads(file.metadata()[METADATA_KEY]))
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a safetensors file of this project: {error}") from error
