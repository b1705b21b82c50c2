"""`model.json` of a system, checked against its types and ranges: what dubbing reads of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.digest import canonical_json
from pipeline.errors import WeightsError
from trainers.talking_face.model_folders import FACTS_FILE


def read_facts(path: Path, facts_type: type[BaseModel], stage: str) -> dict[str, Any]:
    """Return the content of a `model.json`.

    Args:
        facts_type: the facts without which the weights are of no use.
        stage: the one that trains such a model.

    Raises:
        WeightsError: no such file, no JSON, or a key is missing or has an impossible value.
    """
    fix = f"put the file back that the training wrote, or train again with `dvc repro {stage}`"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fix = f"train one with `dvc repro {stage}`"
        raise WeightsError(f"{path}: no model is described here: {error}; {fix}") from error
    if not isinstance(facts, dict):
        raise WeightsError(f"{path}: must be a JSON object; {fix}")
    if wrong := _problems(facts, facts_type):
        raise WeightsError("\n".join(f"{path}: {one}; {fix}" for one in wrong))
    return facts


def require_facts(facts: Mapping[str, Any], facts_type: type[BaseModel]) -> None:
    """Check that a model about to be written has every fact that reading it needs.

    Raises:
        ValueError: one is missing.
    """
    needed = sorted(name for name, one in facts_type.model_fields.items() if one.is_required())
    if missing := [name for name in needed if name not in facts]:
        raise ValueError(f"facts lack {missing}")


def check_part(
    folder: Path, part: str, found: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    """Check that a part of a model is the one of the training.

    Args:
        found: SHA-256 of the part's files, by name.
        expected: the same as `model.json` has it.

    Raises:
        WeightsError: it is another one.
    """
    if dict(found) != dict(expected):
        raise WeightsError(
            f"{folder}: its {part} is not that of the training: found {dict(found)}, "
            f"{FACTS_FILE} says {dict(expected)}; put the right file in place"
        )


def _problems(facts: dict[str, Any], facts_type: type[BaseModel]) -> list[str]:
    try:
        facts_type.model_validate(facts)
    except ValidationError as error:
        return [_explain(problem) for problem in error.errors()]
    return [f"{key}: has a number that is not finite" for key in facts if not _finite(facts[key])]


def _finite(value: Any) -> bool:
    """Return whether a value has neither NaN nor infinity, which Python's reader takes."""
    try:
        canonical_json(value)
    except ValueError:
        return False
    return True


def _explain(problem: ErrorDetails) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "value_error":  # of a validator, which names the key
        return str(problem["ctx"]["error"])
    return f"{key}: {problem['msg']} (is {problem['input']!r})"
