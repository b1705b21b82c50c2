"""`model.json` of a generator, checked: what dubbing reads, with types and ranges."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trainers.talking_face import model_facts

FORMAT = 1
SYSTEM = "stabilized"


class TalkerFacts(BaseModel):
    """The facts without which the weights are of no use; other keys are free."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)

    format: Literal[1]
    system: Literal["stabilized"]
    resolution_px: Annotated[int, Field(ge=16)]
    silent_lips: bool
    sha256: dict[str, dict[str, str]]
    """By role: digests of the folder's files, by name."""


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of a `model.json`; errors as `trainers.talking_face.model_facts`."""
    return model_facts.read_facts(path, TalkerFacts, SYSTEM)
