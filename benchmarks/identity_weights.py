"""Make the bundled weights of the voice network from the published file, bit for bit.

    pip download --no-deps Resemblyzer==0.1.4                 # holds resemblyzer/pretrained.pt
    python -m benchmarks.identity_weights PRETRAINED_PT [--out pipeline/identity]

Nothing in the published file is executed.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from pipeline.atomic import write_bytes
from pipeline.digest import file_sha256
from pipeline.errors import WeightsError
from pipeline.identity import voice_network

VOICE_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
Arrays = dict[str, NDArray[np.float32]]


def voice_arrays(path: Path) -> Arrays:
    """Return the voice network's arrays by our names."""
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    found = {name: state[name].numpy() for name in ("linear.weight", "linear.bias")}
    for layer in range(voice_network.LAYERS):
        found[f"{layer}.input"] = state[f"lstm.weight_ih_l{layer}"].numpy()
        found[f"{layer}.hidden"] = state[f"lstm.weight_hh_l{layer}"].numpy()
        both = state[f"lstm.bias_ih_l{layer}"] + state[f"lstm.bias_hh_l{layer}"]
        found[f"{layer}.bias"] = both.numpy()
    return found


def half(arrays: Arrays) -> bytes:
    """Return a safetensors file in float16."""
    return save({name: arrays[name].astype(np.float16) for name in sorted(arrays)})


def checked(path: Path, sha256: str) -> Path:
    """Return the path of a published file.

    Raises:
        WeightsError: it is another one.
    """
    if file_sha256(path) != sha256:
        raise WeightsError(f"{path}: is not the published file (SHA-256 {sha256})")
    return path


def main() -> int:
    """Write the file; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pretrained", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pipeline/identity"))
    given = parser.parse_args()
    voice = voice_arrays(checked(given.pretrained, VOICE_SHA256))
    write_bytes(given.out / voice_network.PATH.name, half(voice))
    return 0


if __name__ == "__main__":
    sys.exit(main())
