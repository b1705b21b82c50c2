"""What a training run is known by: everything that decides its weights, and nothing else.

Two profiles with the same identity share a run. Left out of it are

- `sample_...` keys, `log_every`, `save_every`, `save_minutes`: what is shown and kept on the way,
- keys of `fit` that came later, at the value that stands for what was done before (`LATER`),
- `validate_every` where validation chooses nothing (`final: last`, no `patience`),
- `max_steps` where step n is the same in a run of any length (`longer_run_goes_on`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pipeline.params.fit import FitParams
from trainers.loop.checkpoints import training_folder

SHOWN = "sample_"
"""Prefix of keys for samples, in a profile and in its `fit`."""
KEPT = ("log_every", "save_every", "save_minutes")
LATER = ("optimizer", "players", "ema_players")
"""Keys of `fit` that came later: left out at their default, under which runs made before went."""


class TrainedProfile(Protocol):
    """A profile of params.yaml."""

    @property
    def fit(self) -> FitParams:
        """The loop's params."""

    def model_dump(self) -> dict[str, Any]:
        """Return plain values."""


def folder_of_run(
    stage: str, profile: TrainedProfile, facts: Mapping[str, Any], **changed: Any
) -> Path:
    """Return where the run of a profile keeps its checkpoints and logs.

    Runs that differ in nothing but a length that changes no step lie side by side, so that the
    longer one finds the shorter one's checkpoint (trainers/loop/longer_runs.py).

    Args:
        facts: what decides the weights beside the profile, as plain JSON: version, sizes of the
            network, hash of the data, digests of weights files.
        changed: values of the profile's keys that stand for those of params.yaml.
    """
    values = {**profile.model_dump(), **changed}
    folder = training_folder(stage, {**facts, "profile": identity(values, profile.fit)})
    return folder / length_name(profile.fit)


def length_name(fit: FitParams) -> str:
    """Return the name of a run's folder among those of its identity."""
    return f"steps-{fit.max_steps}"


def identity(profile: Mapping[str, Any], fit: FitParams) -> dict[str, Any]:
    """Return the keys of a profile's plain values that decide the weights."""
    known = {name: value for name, value in profile.items() if not name.startswith(SHOWN)}
    unused = {*KEPT, *(() if validation_chooses(fit) else ("validate_every",))}
    unused |= {"max_steps"} if longer_run_goes_on(fit) else set()
    defaults = FitParams()
    unused |= {name for name in LATER if getattr(fit, name) == getattr(defaults, name)}
    loop = {
        name: value
        for name, value in fit.model_dump().items()
        if name not in unused and not name.startswith(SHOWN)
    }
    return {**known, "fit": loop}


def validation_chooses(fit: FitParams) -> bool:
    """Return whether the metrics of a validation decide when training ends or what it gives."""
    return fit.final == "best" or fit.patience is not None


def longer_run_goes_on(fit: FitParams) -> bool:
    """Return whether a run with more steps makes the same steps as this one, and then others.

    It does if the learning rate does not depend on the length, nor the choice on a validation at
    the end of the shorter run.
    """
    return fit.schedule == "constant" and not validation_chooses(fit)
