"""The class of this processor: within one class, and between the two newest, outputs are equal."""

import os
import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_V2 = {"ssse3", "sse4_1", "sse4_2", "popcnt"}
_V3 = _V2 | {"avx", "avx2", "fma", "bmi1", "bmi2", "f16c"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
LEVELS = (("x86-64-v4", _V4), ("x86-64-v3", _V3), ("x86-64-v2", _V2))
ALIKE = frozenset({"x86-64-v3", "x86-64-v4"})
"""Classes between which the curation line has equal bytes (docs/reproducibility.md)."""


def pin_kernels() -> None:
    """Keep IPP, with which OpenCV resizes, from its AVX-512 kernels: they round a few pixels apart.

    Called where a module that resizes is imported; OpenCV reads the variable at its first resize.
    """
    os.environ.setdefault("OPENCV_IPP", "avx2")


@cache
def processor_class() -> str:
    """Return the x86-64 level; elsewhere, and where Linux does not say, the machine's name."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    flags = next((set(line.split(":")[1].split()) for line in lines if line[:5] == "flags"), set())
    return class_of(platform.machine(), flags)


def class_of(machine: str, flags: set[str]) -> str:
    """Return the class of a machine with these flags of /proc/cpuinfo."""
    if machine not in ("x86_64", "AMD64"):
        return machine or "unknown"
    return next((name for name, needed in LEVELS if needed <= flags), machine)


def difference(classes: set[str]) -> str:
    """Return what it means that workers of these classes share a run; empty where they agree."""
    if len(classes) < 2 or classes <= ALIKE:
        return ""
    named = ", ".join(sorted(classes))
    return (
        f"workers of different processor classes ({named}): which of them takes an item decides "
        "the last bits of its numbers and pictures; see docs/reproducibility.md"
    )
