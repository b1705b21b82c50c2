"""`model.json`, checked: what dubbing reads of a trained model's facts, with types and ranges."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pipeline.digest import canonical_json
from pipeline.errors import WeightsError
from pipeline.params.bounds import Guidance, SamplingSteps, WindowFrames
from pipeline.params.training import Share
from trainers.frozen.latent_vae import PIXELS_PER_LATENT
from trainers.systems.latentsync.parametrization import Prediction

FORMAT = 1
FIX = "put the file back that the training wrote, or train again with `dvc repro train_ldm`"

Digests = dict[str, str]
"""By name of the file, SHA-256 in hex."""


class _Facts(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class SamplingFacts(_Facts):
    """How the model was sampled in training; dubbing's defaults. What is absent is as published."""

    model_config = ConfigDict(extra="forbid")

    steps: SamplingSteps = 20
    guidance: Guidance = 1.5
    temperature: Share = 1.0
    reference: Literal["self", "apart"] = "self"


class ModelFacts(_Facts):
    """The facts without which the weights are of no use; other keys are free."""

    model_config = ConfigDict(extra="allow")

    format: Literal[1]
    system: Literal["latentsync"] = "latentsync"
    frames: WindowFrames
    resolution_px: Annotated[int, Field(ge=PIXELS_PER_LATENT, multiple_of=PIXELS_PER_LATENT)]
    prediction: Prediction
    vae: str
    whisper: str
    sha256: dict[str, str | Digests]
    sampling: SamplingFacts = SamplingFacts()

    @model_validator(mode="after")
    def _named(self) -> "ModelFacts":
        if not isinstance(self.sha256.get("unet"), str):
            raise ValueError("sha256.unet: missing, or no text")
        for role in self.sha256.keys() - {"unet"}:
            if not isinstance(self.sha256[role], dict):
                raise ValueError(f"sha256.{role}: must be digests by name of the file")
            if not isinstance({**dict(self), **(self.model_extra or {})}.get(role), str):
                raise ValueError(f"{role}: sha256 has this part, but its name is missing")
        return self


NEEDED = sorted(name for name, one in ModelFacts.model_fields.items() if one.is_required())


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of a `model.json`.

    Raises:
        WeightsError: no such file, no JSON, or a key is missing or has an impossible value.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fix = "train one with `dvc repro train_ldm`"
        raise WeightsError(f"{path}: no model is described here: {error}; {fix}") from error
    if not isinstance(facts, dict):
        raise WeightsError(f"{path}: must be a JSON object; {FIX}")
    if wrong := _problems(facts):
        raise WeightsError("\n".join(f"{path}: {one}; {FIX}" for one in wrong))
    return facts


def _problems(facts: dict[str, Any]) -> list[str]:
    try:
        ModelFacts.model_validate(facts)
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
    if problem["type"] == "value_error":  # of the validator above, which names the key
        return str(problem["ctx"]["error"])
    return f"{key}: {problem['msg']} (is {problem['input']!r})"
