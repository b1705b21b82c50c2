"""What is computed on other x86-64 processors; docs/reproducibility.md."""

import shutil
import sys
from pathlib import Path

import pytest

from pipeline.processor import class_of, difference
from tests.processors.table import results

FAST = ["this one", "AVX2 and FMA (Haswell)", "AVX2, AMD (Zen 3)", "AVX-512, AMD (Zen 4)"]
RAW = ("numpy", "python", "torch")
"""Operations that no curation stage uses like this, or only training."""


def masks_work() -> bool:
    """Return whether gcc is here and the kernel lets a process forbid itself CPUID."""
    if not sys.platform.startswith("linux") or not shutil.which("gcc"):
        return False
    flags = Path("/proc/cpuinfo").read_text()
    return "cpuid_fault" in flags and "avx512f" in flags


@pytest.mark.slow
def test_curation_has_equal_bytes_with_and_without_avx512(tmp_path: Path, shared: Path) -> None:
    film = shared / "clips" / "fsgan_conan.mp4"
    if not masks_work():
        pytest.skip("needs gcc, an Intel processor with AVX-512 and CPUID faulting, and the clips")
    found = results(film, tmp_path, FAST)
    reference = found.pop(FAST[0])
    parted = {
        (name, operation)
        for name, arrays in found.items()
        for operation, value in arrays.items()
        if not operation.startswith(RAW) and value.tobytes() != reference[operation].tobytes()
    }
    assert not parted
    raw = found["AVX2 and FMA (Haswell)"]["numpy exp float64"]
    assert raw.tobytes() != reference["numpy exp float64"].tobytes(), "the mask has no effect"


def test_only_processors_that_may_differ_are_warned_of() -> None:
    assert not difference({"x86-64-v3", "x86-64-v4"})
    assert not difference({"aarch64"})
    assert "aarch64, x86-64-v4" in difference({"x86-64-v4", "aarch64"})
    assert "x86-64-v2" in difference({"x86-64-v2", "x86-64-v3"})


def test_the_class_is_the_x86_64_level() -> None:
    old = {"ssse3", "sse4_1", "sse4_2", "popcnt"}
    haswell = old | {"avx", "avx2", "fma", "bmi1", "bmi2", "f16c"}
    assert class_of("x86_64", old) == "x86-64-v2"
    assert class_of("x86_64", haswell) == "x86-64-v3"
    assert class_of("aarch64", haswell) == "aarch64"
