"""The processor, threads and versions that numbers belong to."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.limits import usable_cpus

PACKAGES = (
    "av",
    "decord",
    "opencv-python",
    "numpy",
    "ai-edge-litert",
    "onnxruntime",
    "torch",
    "ray",
    "dvc",
    "pyarrow",
)


def machine() -> dict[str, str]:
    """Return facts about this machine; `load` is the average of the last minute at the start."""
    return {
        "processor": processor(),
        "cores": str(usable_cpus()),
        "memory_gb": f"{memory_gb():.1f}",
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def processor() -> str:
    """Return the processor's name and model number, as Linux has them."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    family = f"family {named.get('cpu family', '?')} model {named.get('model', '?')}"
    return f"{named.get('model name', platform.machine())} ({family})"


def memory_gb() -> float:
    """Return the memory of the machine in 10^9 bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
