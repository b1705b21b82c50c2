"""How long a run will take, for the plan that is printed first.

Seconds of one core of an Intel Xeon at 2.1 GHz on which other work ran; a free core needs less.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.claims.runs import Run

START_S = 8.0
"""Imports and indices."""
WINDOW_S = 0.017
"""One picture and one sound embedded, forward and backward, by 16 frames."""
VALIDATION_WINDOW_S = 0.006
STEP_S = {
    "diffusion": 0.75,
    "avsyncnet": 0.35,
    "silent_lip": 0.6,
    "stabilized": 0.75,
    "syncdiff": 0.55,
}
"""A step, by system."""
ENCODER_STEP_S = 0.2
MEASURING_S = {
    "diffusion": 40.0,
    "avsyncnet": 15.0,
    "silent_lip": 0.0,
    "stabilized": 40.0,
    "syncdiff": 60.0,
}
"""Dubbing and measuring of the held-out clips."""
VALIDATION_CLIPS = 9


def estimate_s(run: Run) -> float:
    """Return seconds of one core."""
    profile: Mapping[str, Any] = run.facts["profile"]
    if run.facts["system"] == "temporal_encoder":
        return START_S + profile["steps"] * ENCODER_STEP_S
    steps = profile["fit"]["max_steps"]
    if (system := run.facts["system"]) in STEP_S:
        return START_S + MEASURING_S[system] + steps * STEP_S[system]
    windows = profile["batch"] * (profile["windows"] if profile["item"] == "windows" else 1)
    clips = min(VALIDATION_CLIPS, profile["validation_clips"])
    validations = 1 + steps / profile["fit"]["validate_every"]
    measured = validations * clips * profile["validation_windows"]
    return START_S + steps * windows * WINDOW_S + measured * VALIDATION_WINDOW_S
