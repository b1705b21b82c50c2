"""Sampling options of a model: what is asked for, else what the model says."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ParamsError
from trainers.talking_face.model import SAMPLING, DubOptions, TalkingFaceModel

OVERLAP_FRAMES = 4
"""If nobody asks; less for a model whose windows cannot share as many."""


def sampling_options(model: TalkingFaceModel, asked: Mapping[str, Any]) -> DubOptions:
    """Return the options that a model is sampled with.

    Args:
        asked: fields of `DubOptions`, only those that somebody asked for.

    Raises:
        ParamsError: one that the model does not take; with those that it takes.
    """
    for name in SAMPLING:
        if name in asked and name not in model.sampling:
            takes = ", ".join(f"--{one}" for one in SAMPLING if one in model.sampling)
            raise ParamsError(
                f"--{name}: a model of the system {model.system} has no such option; "
                f"of these it takes {takes or 'none'}"
            )
    overlap = {"overlap_frames": min(OVERLAP_FRAMES, model.max_overlap_frames)}
    return DubOptions(**{**overlap, **model.sampling, **asked})


def shown_options(model: TalkingFaceModel, options: DubOptions) -> str:
    """Return how the model is sampled, in one line."""
    shown = {
        "steps": f"{options.steps} steps",
        "guidance": f"guidance {options.guidance}",
        "temperature": f"temperature {options.temperature}",
    }
    taken = [text for name, text in shown.items() if name in model.sampling]
    return ", ".join([*taken, options.precision])
