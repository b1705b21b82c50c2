"""CPUs and memory of affinity and control groups, versions 1 and 2, nested."""

import os

import pytest

from pipeline.limits import memory_bytes, physical_memory_bytes, usable_cpus

HALF = physical_memory_bytes() // 2


@pytest.fixture
def groups(tmp_path):
    """Write the files of control groups; return where they are and who is in which."""

    def write(membership, **files):
        for name, text in files.items():
            path = tmp_path / "groups" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "membership").write_text(membership)
        return tmp_path / "groups", tmp_path / "membership"

    return write


@pytest.fixture
def eight_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def test_a_process_on_one_cpu_uses_one():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_without_groups_affinity_and_the_machines_memory_count(tmp_path, eight_cpus):
    nowhere = tmp_path / "groups", tmp_path / "membership"
    assert usable_cpus(*nowhere) == 8
    assert memory_bytes(*nowhere) == physical_memory_bytes()


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("300000 100000", 3), ("250000 100000", 2), ("50000 100000", 1), ("max 100000", 8)],
)
def test_the_quota_of_version_2(groups, eight_cpus, text, cpus):
    """Read at the top, as in a container, and on the way up, as for a service."""
    assert usable_cpus(*groups("0::/\n", **{"cpu.max": text})) == cpus
    nested = groups("0::/a/b\n", **{"cpu.max": "max 100000", "a__cpu.max": text})
    assert usable_cpus(*nested) == cpus


def test_the_quota_of_version_1_also_inside_a_path_that_the_container_does_not_see(
    groups, eight_cpus
):
    files = {"cpu,cpuacct__cpu.cfs_quota_us": "200000", "cpu,cpuacct__cpu.cfs_period_us": "100000"}
    assert usable_cpus(*groups("3:cpu,cpuacct:/docker/0123\n", **files)) == 2
    files["cpu,cpuacct__cpu.cfs_quota_us"] = "-1"
    assert usable_cpus(*groups("3:cpu,cpuacct:/\n", **files)) == 8


def test_the_smallest_memory_limit_around_the_process_counts(groups):
    nested = {"a__memory.max": f"{HALF}", "a__b__memory.max": "max"}
    assert memory_bytes(*groups("0::/a/b\n", **nested)) == HALF
    old = {"memory__memory.limit_in_bytes": str(2**63 - 4096)}
    assert memory_bytes(*groups("4:memory:/\n", **old)) == physical_memory_bytes()
    old["memory__a__memory.limit_in_bytes"] = f"{HALF // 2}"
    assert memory_bytes(*groups("4:memory:/a\n", **old)) == HALF // 2
