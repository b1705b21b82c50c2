"""Versions of all that decides a byte of a shard, given film, spans, matrices and offsets."""

import platform
import zlib
from collections.abc import Mapping

import soundfile

from pipeline.faces.open import library_versions


def byte_versions(backend: str) -> dict[str, str]:
    """Return library -> version.

    Args:
        backend: as `FacesParams.backend`.
    """
    others = {
        "libsndfile": soundfile.__libsndfile_version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    return {**library_versions(backend), **others}


def other_versions(said: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for every version that is another one here."""
    return [
        f"{name} is {found.get(name, 'absent')} here, the recipe was made with {said[name]}"
        for name in sorted(said)
        if found.get(name) != said[name]
    ]
