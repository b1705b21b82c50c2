"""`model.json` of SyncDiff, checked: what dubbing reads, with types and ranges."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import WeightsError
from pipeline.params.bounds import SamplingSteps

FORMAT = 1
FIX = "put the file back that the training wrote, or train again with `dvc repro syncdiff`"
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


NEEDED = sorted(SyncDiffFacts.model_fields)


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of a `model.json`.

    Raises:
        WeightsError: no such file, no JSON, or a key is missing or has an impossible value.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        SyncDiffFacts.model_validate(facts)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise WeightsError("\n".join(f"{path}: {one}; {FIX}" for one in wrong)) from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: no model is described here: {error}; {FIX}") from error
    content: dict[str, Any] = facts
    return content
