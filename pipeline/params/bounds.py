"""Ranges that params.yaml, options of commands and the facts of a trained model share."""

from typing import Annotated

from pydantic import Field

MAX_SEED = 2**63 - 1
"""Largest that torch's generators take."""
MAX_STEPS = 1000
"""Of the diffusion schedule."""
MAX_GUIDANCE = 100.0
"""Far above what is of use: the authors use 1 to 3."""

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
SamplingSteps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
Guidance = Annotated[float, Field(ge=1, le=MAX_GUIDANCE)]
WindowFrames = Annotated[int, Field(ge=1, le=24)]
"""Frames that the U-Net sees at once; its motion modules have 24 positions."""
