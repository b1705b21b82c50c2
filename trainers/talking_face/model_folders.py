"""Where trained talking-face models lie, and which stages may leave one; imports nothing heavy."""

from pathlib import Path

from pipeline.engine.optional_stages import UNTRAINED
from pipeline.errors import WeightsError

FACTS_FILE = "model.json"
OPTIONAL_STAGES = ("stabilized", "syncdiff")
"""Off by default. Each leaves its model in `models/<stage>`; not asked for, only `UNTRAINED`."""


def is_trained(folder: Path) -> bool:
    """Return whether an optional stage has left a model in its folder.

    Raises:
        WeightsError: there is a folder with neither a model nor the word that there is none.
    """
    if (folder / FACTS_FILE).is_file():
        return True
    if not folder.is_dir() or (folder / UNTRAINED).is_file():
        return False
    raise WeightsError(
        f"{folder}: neither {FACTS_FILE} nor {UNTRAINED}; run `dvc repro {folder.name}`"
    )
