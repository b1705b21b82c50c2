"""`model.json` of any system: which one the model is of, and what stands in for its networks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.engine.optional_stages import UNTRAINED
from pipeline.errors import WeightsError
from trainers.frozen.stand_ins import STAND_IN
from trainers.talking_face.model_folders import FACTS_FILE

OLD_MODELS = "latentsync"
"""The system of a model.json from before the key `system` was written."""


def system_of(folder: Path) -> str:
    """Return the name of the system that a model's folder is of.

    Raises:
        WeightsError: the folder holds no model.json, or it is no JSON object, or its system is no
            text.
    """
    path = folder / FACTS_FILE
    if not path.exists() and (folder / UNTRAINED).exists():
        raise WeightsError(f"{folder}: not trained yet; run `dvc repro {folder.name}`")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fix = "train one with `dvc repro train_ldm`, or name another folder"
        raise WeightsError(f"{path}: no model is described here: {error}; {fix}") from error
    if not isinstance(facts, dict):
        raise WeightsError(f"{path}: must be a JSON object; put the file of the training back")
    system = facts.get("system", OLD_MODELS)
    if not isinstance(system, str):
        raise WeightsError(f"{path}: system: must be a name, is {system!r}")
    return system


def stand_ins(facts: Mapping[str, Any]) -> list[str]:
    """Return role=name of every stand-in of a model; with one it is for trials only."""
    named = {role: name for role, name in facts.items() if isinstance(name, str)}
    return [f"{role}={name}" for role, name in sorted(named.items()) if name.startswith(STAND_IN)]


def network_names(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return role -> name of every network that the model was made with, stand-ins included."""
    return {role: facts[role] for role in facts["sha256"] if role in facts}
