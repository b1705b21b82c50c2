"""Starts a Python as another processor would run it: CPUID masked, at full speed, Intel, Linux."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("cpu_mask.c")
NO_AVX512 = "-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD,-AVX512ER,-Prefer_No_VZEROUPPER"
NO_AVX2 = f"{NO_AVX512},-AVX2,-FMA,-AVX2_Usable,-FMA_Usable,-BMI1,-BMI2"
CLASSES = {
    "this one": ("", ""),
    "without AMX, FP16": ("amx", ""),
    "Skylake-X": ("vnni", ""),
    "AVX2 and FMA (Haswell)": ("avx512", NO_AVX512),
    "AVX2, AMD (Zen 3)": ("amd,avx512", NO_AVX512),
    "AVX-512, AMD (Zen 4)": ("amd,amx", ""),
    "AVX (Sandy Bridge)": ("avx2", NO_AVX2),
    "SSE4 (Nehalem)": ("noavx", f"{NO_AVX2},-AVX"),
}
"""Name -> CPU_MASK of cpu_mask.c, and what the C library is to leave out."""


def built(folder: Path) -> Path:
    """Compile the library that answers CPUID."""
    library = folder / "cpu_mask.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return library


def run_as(name: str, library: Path, arguments: Sequence[str | Path], **more: str) -> None:
    """Run `python arguments` as a processor class; raises CalledProcessError where it fails."""
    mask, left_out = CLASSES[name]
    tunables = {"GLIBC_TUNABLES": f"glibc.cpu.hwcaps={left_out}"} if left_out else {}
    forced = {"LD_PRELOAD": str(library), "CPU_MASK": mask} if mask else {}
    environment = {**os.environ, **forced, **tunables, **more}
    subprocess.run([sys.executable, *map(str, arguments)], env=environment, check=True)
