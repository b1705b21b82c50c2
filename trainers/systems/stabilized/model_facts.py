"""`model.json` of a generator, checked: what dubbing reads, with types and ranges."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import WeightsError

FORMAT = 1
SYSTEM = "stabilized"
FIX = "put the file back that the training wrote, or train again with `dvc repro stabilized`"


class TalkerFacts(BaseModel):
    """The facts without which the weights are of no use; other keys are free."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)

    format: Literal[1]
    system: Literal["stabilized"]
    resolution_px: Annotated[int, Field(ge=16)]
    silent_lips: bool
    sha256: dict[str, dict[str, str]]
    """By role: digests of the folder's files, by name."""


NEEDED = sorted(TalkerFacts.model_fields)


def read_facts(path: Path) -> dict[str, Any]:
    """Return the content of a `model.json`.

    Raises:
        WeightsError: no such file, no JSON, or a key is missing or has an impossible value.
    """
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        TalkerFacts.model_validate(facts)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise WeightsError(f"{path}: {'; '.join(wrong)}; {FIX}") from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: no model is described here: {error}; {FIX}") from error
    return facts
