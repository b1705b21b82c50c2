"""Make the bundled weights of pipeline/identity/ from the published files, bit for bit.

    pip download --no-deps --no-binary :all: face_recognition_models==0.3.0   # holds DLIB_DAT
    pip download --no-deps Resemblyzer==0.1.4                                 # holds pretrained.pt
    python -m benchmarks.identity_weights DLIB_DAT PRETRAINED_PT [--out pipeline/identity]

dlib's file is its own serialization: whole numbers as a count of bytes and these bytes, arrays as
version, four sizes and little-endian float32. Nothing in either file is executed.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from pipeline.atomic import write_bytes
from pipeline.digest import file_sha256
from pipeline.errors import WeightsError
from pipeline.identity import face_network, voice_network

DLIB_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
VOICE_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
LARGEST = 2**22
"""Numbers in an array of dlib's file, at most."""
Arrays = dict[str, NDArray[np.float32]]


def face_arrays(content: bytes) -> Arrays:
    """Return the face network's arrays by our names, from dlib's file."""
    *pairs, last = tensors(content)
    names = [name.removesuffix(".bias") for name in face_network.shapes() if name.endswith("bias")]
    found: Arrays = {"out.weight": last.reshape(-1, face_network.SIZE)}
    for name, taps, affine in zip(names, pairs[::2], pairs[1::2], strict=True):
        channels = len(affine) // 2
        shape = face_network.shapes()[f"{name}.weight"]
        found[f"{name}.weight"] = taps[:-channels].reshape(shape)
        found[f"{name}.bias"] = taps[-channels:]
        found[f"{name}.scale"], found[f"{name}.shift"] = affine[:channels], affine[channels:]
    return found


def tensors(content: bytes) -> Iterator[NDArray[np.float32]]:
    """Yield every array of more than one number in dlib's file, in its order."""
    place = 0
    while place < len(content) - 12:
        sizes, begin = _sizes(content, place)
        count = int(np.prod(sizes, dtype=np.int64))
        if not 1 < count <= LARGEST or begin + 4 * count > len(content):
            place += 1
            continue
        array = np.frombuffer(content, "<f4", count, begin)
        if not _plausible(array):
            place += 1
            continue
        yield array
        place = begin + 4 * count


def _plausible(array: NDArray[np.float32]) -> bool:
    """Tell an array from other bytes that happen to look like its beginning."""
    sizes = np.abs(array)
    return bool(np.isfinite(array).all() and sizes.max() < 1e4 and (sizes > 1e-12).mean() > 0.3)


def _sizes(content: bytes, place: int) -> tuple[list[int], int]:
    """Return the four sizes of an array that begins here, and where its numbers begin."""
    version, place = _whole(content, place)
    sizes = []
    for _ in range(4):
        size, place = _whole(content, place) if version == 2 else (0, place)
        sizes.append(size)
    return sizes, place


def _whole(content: bytes, place: int) -> tuple[int, int]:
    count = content[place] if place < len(content) else 0
    if not 1 <= count <= 8:  # also what is negative
        return 0, place + 1
    end = place + 1 + count
    return int.from_bytes(content[place + 1 : end], "little"), end


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
    """Write both files; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dlib", type=Path)
    parser.add_argument("pretrained", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pipeline/identity"))
    given = parser.parse_args()
    face = face_arrays(checked(given.dlib, DLIB_SHA256).read_bytes())
    voice = voice_arrays(checked(given.pretrained, VOICE_SHA256))
    write_bytes(given.out / face_network.PATH.name, half(face))
    write_bytes(given.out / voice_network.PATH.name, half(voice))
    return 0


if __name__ == "__main__":
    sys.exit(main())
