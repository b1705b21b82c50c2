"""`model.json`, checked: what dubbing reads of a trained model's facts, with types and ranges."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.params.bounds import Guidance, SamplingSteps, WindowFrames
from pipeline.params.training import Share
from trainers.frozen.latent_vae import PIXELS_PER_LATENT
from trainers.systems.latentsync.parametrization import Prediction
from trainers.talking_face import model_facts

FORMAT = 1

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


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of a `model.json`; errors as `trainers.talking_face.model_facts`."""
    return model_facts.read_facts(path, ModelFacts, "train_ldm")
