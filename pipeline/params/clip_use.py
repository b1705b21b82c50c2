"""Which clips of the train split, and which of their seconds, a trainer draws from."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class _Use(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class SecondsParams(_Use):
    """Limits of the mean of a label over each second; the defaults skip none. docs/shards.md."""

    min_sync: Share = 0.0
    """Probability by that second alone that sound and lips are together."""
    min_speech: Share = 0.0
    max_cover: Share = 1.0
    """Certainty that the mouth is not visible."""
    min_change: Annotated[float, Field(ge=0)] = 0.0
    """Levels of luma from picture to picture; under 0.25 it stands."""


class ClipUseParams(_Use):
    """What of the train split is used. Validation and evaluation take all of theirs."""

    tier: Literal["base", "hq"] = "base"
    """base: every selected clip; hq: those within the stricter limits of `select.hq`."""
    seconds: SecondsParams = SecondsParams()
    """Seconds beyond one of these are not drawn from; what lies between them is."""

    @property
    def skips(self) -> bool:
        """Whether a second can be left out."""
        return self.seconds != SecondsParams()
