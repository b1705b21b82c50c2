"""What this process may use of its machine: CPUs and memory, as affinity and control groups say.

A container, a Slurm job and `taskset` leave a process less than the machine has, and
`os.cpu_count()` tells none of it. Linux keeps the limits in control groups, version 1 (a folder per
controller) or 2 (one tree), each within those around it: the smallest one counts.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
"""Lines `number:controllers:path`; version 2 names no controllers."""


def usable_cpus(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return how many CPUs this process may keep busy, at least one; part of one does not count.

    Args:
        groups: where the control groups are mounted.
        membership: file that says in which ones this process is.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    mine = len(affinity(0)) if affinity else os.cpu_count() or 1
    quotas = [*_quotas_v1(groups, membership), *_quotas_v2(groups, membership)]
    return max(1, min([mine, *(int(quota) for quota in quotas)]))


def memory_bytes(groups: Path = GROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return how much memory this process and its children may have, the machine's at most."""
    limits = [physical_memory_bytes()]
    for folder in _folders(groups, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limits += [int(value) for value in _numbers(folder / name)[:1]]
    return min(limits)


def physical_memory_bytes() -> int:
    """Return the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _quotas_v1(groups: Path, membership: Path) -> Iterator[float]:
    for folder in _folders(groups, membership):
        quota, period = (_numbers(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota and period:  # a quota of -1 is none
            yield quota[0] / period[0]


def _quotas_v2(groups: Path, membership: Path) -> Iterator[float]:
    for folder in _folders(groups, membership):
        if len(numbers := _numbers(folder / "cpu.max")) == 2:  # without a quota: `max 100000`
            yield numbers[0] / numbers[1]


def _numbers(file: Path) -> list[int]:
    """Return the positive whole numbers of a file; none where it cannot be read."""
    with suppress(OSError):
        return [int(word) for word in file.read_text().split() if word.isdecimal() and int(word)]
    return []


def _folders(groups: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of this process' groups, each with all around it.

    A container may not see the outer part of its path: then its own limits stand at the top.
    """
    lines = []
    with suppress(OSError):
        lines = membership.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = [controllers, *controllers.split(",")] if controllers else ["", "unified"]
        inside = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        for name in dict.fromkeys(names):
            for length in range(len(inside) + 1):
                yield groups.joinpath(name, *inside[:length])
