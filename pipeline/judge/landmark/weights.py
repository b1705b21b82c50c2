"""The file of the judge's weights: its digest, its networks, what else the trainer stored in it."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipeline.digest import file_sha256
from pipeline.errors import WeightsError
from pipeline.judge.evidence import EvidenceModel
from pipeline.judge.landmark.calibration import Calibration
from pipeline.judge.landmark.networks import Arrays
from pipeline.weights.safetensors_metadata import stored_json

WEIGHTS_PATH = Path(__file__).with_name("landmark_judge.safetensors")


def weights_sha256(path: Path = WEIGHTS_PATH) -> str:
    """Return the SHA-256 of the weights file, hex.

    Raises:
        WeightsError: no such file.
    """
    try:
        return file_sha256(path)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: the judge's weights are missing; reinstall") from error


def load_metadata(path: Path = WEIGHTS_PATH) -> dict[str, Any]:
    """Return the JSON that the trainer stored with the weights: sizes, seed, data, folds.

    Raises:
        WeightsError: the file is absent or is not what the trainer writes.
    """
    return stored_json(path)


def load_calibration(path: Path = WEIGHTS_PATH) -> Calibration:
    """Return the calibration: curve -> probability.

    Raises:
        WeightsError: the file is absent or is not what the trainer writes.
    """
    try:
        return Calibration.from_json(load_metadata(path)["calibration"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path}: no calibration inside: {error}") from error


def load_evidence(path: Path = WEIGHTS_PATH) -> EvidenceModel:
    """Return the evidence model: distances of a window -> log odds of being in sync.

    Raises:
        WeightsError: the file is absent or is not what the trainer writes.
    """
    try:
        return EvidenceModel.from_json(load_metadata(path)["evidence"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path}: no evidence model inside: {error}") from error


def load_arrays(path: Path = WEIGHTS_PATH) -> list[Arrays]:
    """Return the weights of every network, as stored (float16).

    Raises:
        WeightsError: the file is absent or is not what the trainer writes.
    """
    header = load_metadata(path)
    try:
        members = int(header["members"])
        with safe_open(path, framework="np") as file:
            named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not weights of the landmark judge: {error}") from error
    return [
        {
            name.removeprefix(f"{index}."): array
            for name, array in named.items()
            if name.startswith(f"{index}.")
        }
        for index in range(members)
    ]
