"""The package syncnet-python itself, to be compared with. Nothing of this project needs it to run.

It is installed without its dependencies into a folder of its own (it wants scenedetect < 0.7, which
does not go with ours), and only two of its modules are loaded: the network and the scoring.
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ("syncnet-python==0.2.3", "python_speech_features==0.6")
PLACE = ROOT / ".cache" / "reference" / "syncnet-python-0.2.3"


class NotInstallableError(Exception):
    """pip could not get the package."""


class SyncNetPython:
    """The published network with given weights, and its scoring of one crop."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        install()
        with patch.object(sys, "path", [str(PLACE), *sys.path]):
            network = _module("SyncNetModel")
            self.scoring = _module("SyncNetInstance")
        net = network.S(num_layers_in_fc_layers=1024)
        net.load_state_dict(dict(state))
        self.instance = self.scoring.SyncNetInstance(net=net, device="cpu")

    def score(
        self, frames: Sequence[NDArray[np.uint8]], audio_N: NDArray[np.int16]
    ) -> tuple[int, float, float]:
        """Return offset, confidence and smallest distance.

        Its `evaluate` reads pictures and sound from a folder; here they are handed over in memory,
        so that neither JPEG nor the disk is in the answer or in the time.
        """
        names = [f"{number:06d}.jpg" for number in range(len(frames))]
        pictures = dict(zip(names, frames, strict=True))
        options = SimpleNamespace(tmp_dir="", batch_size=20, vshift=15)
        with (
            patch.object(self.scoring.glob, "glob", lambda _: list(names)),
            patch.object(self.scoring.cv2, "imread", pictures.__getitem__),
            patch.object(self.scoring.wavfile, "read", lambda _: (16000, audio_N)),
            redirect_stdout(StringIO()),
        ):
            found: tuple[int, float, float] = self.instance.evaluate(options)
        return found


def install() -> None:
    """Put the package into its folder, once.

    Raises:
        NotInstallableError: pip cannot reach an index that has it.
    """
    if PLACE.is_dir():
        return
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PLACE.parent) as folder:
        target = [
            "--no-deps",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            folder + "/new",
        ]
        command = [sys.executable, "-m", "pip", "install", *target, *REQUIREMENTS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInstallableError(f"pip could not install {REQUIREMENTS}: {done.stderr[-300:]}")
        Path(folder, "new").rename(PLACE)


def _module(name: str) -> Any:
    """Load one module of the package without its `__init__`, which wants everything else."""
    path = PLACE / "syncnet_python" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"reference_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
