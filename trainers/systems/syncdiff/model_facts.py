"""`model.json` of SyncDiff, checked: what dubbing reads, with types and ranges."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.params.bounds import SamplingSteps
from trainers.talking_face import model_facts

FORMAT = 1
Digests = dict[str, str]
"""By name of the file, SHA-256 in hex."""


class SampledFacts(BaseModel):
    """How the model was sampled in training: dubbing's default."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    steps: SamplingSteps


class PartDigests(BaseModel):
    """Digests of the files of every part."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    network: Digests
    autoencoder: Digests
    audio: Digests


class SyncDiffFacts(BaseModel):
    """The facts without which the weights are of no use; other keys are free."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)

    format: Literal[1]
    system: Literal["syncdiff"]
    resolution_px: Annotated[int, Field(ge=32, multiple_of=32)]
    prediction: Literal["epsilon", "x0"]
    autoencoder: str
    audio: str
    sha256: PartDigests
    sampling: SampledFacts


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of a `model.json`; errors as `trainers.talking_face.model_facts`."""
    return model_facts.read_facts(path, SyncDiffFacts, "syncdiff")
