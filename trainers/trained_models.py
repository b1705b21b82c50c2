"""Which system loads a trained model: the one table of systems that `dub` and `evaluate` know."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.errors import WeightsError
from trainers.talking_face.model import TalkingFaceModel
from trainers.talking_face.model_file import system_of
from trainers.talking_face.model_folders import FACTS_FILE

Loader = Callable[[Path], TalkingFaceModel]


def load_model(folder: Path) -> TalkingFaceModel:
    """Load a trained talking-face model, on the CPU, float32, frozen, in eval mode.

    Raises:
        WeightsError: no model there, a system that nothing here has, or a file of the model is
            absent, altered or impossible.
        ParamsError: a network of it has a name that nothing here has.
    """
    system = system_of(folder)
    if system not in LOADERS:
        known = ", ".join(LOADERS)
        raise WeightsError(f"{folder / FACTS_FILE}: system: {system!r} is unknown; known: {known}")
    return LOADERS[system](folder)


def _latentsync(folder: Path) -> TalkingFaceModel:
    from trainers.systems.latentsync.bundle import load_bundle

    return load_bundle(folder)


def _stabilized(folder: Path) -> TalkingFaceModel:
    from trainers.systems.stabilized.bundle import load_bundle

    return load_bundle(folder)


def _syncdiff(folder: Path) -> TalkingFaceModel:
    from trainers.systems.syncdiff.bundle import load_bundle

    return load_bundle(folder)


LOADERS: Mapping[str, Loader] = {
    "latentsync": _latentsync,
    "stabilized": _stabilized,
    "syncdiff": _syncdiff,
}
"""System -> loader; each imports its system when it is called."""
