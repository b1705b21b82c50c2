"""Fixtures that many tests share."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests import object_store

ROOT = Path(__file__).parents[1]
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
"""PyTorch 2.13's bfloat16 convolutions on AMX gave NaN in a virtual machine; other results are the
same with and without."""
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many processes of tests as cores
ONE_AFTER_THE_OTHER = (
    *("deploy/", "pipeline/engine/", "pipeline/judge/command/", "pipeline/submit/"),
    *("test_again.py", "test_line.py", "trainers/processes/", "trainers/test_optional_talkers.py"),
)
"""Tests that start Ray or send signals: of these no two run at once."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Say what must stay in one process where tests run in several: a module, or all with Ray.

    A wrapper, because pytest-xdist reads the groups in the same hook.
    """
    for item in items:
        where = item.path.relative_to(ROOT / "tests").as_posix()
        group = "ray" if where.startswith(ONE_AFTER_THE_OTHER) else where
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group").args != ("ray",))
    return (yield)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray for all tests of a session, as a stage command would start it."""
    import ray

    from pipeline.engine.ray_connection import connect

    connect()
    yield
    ray.shutdown()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working directory, with its own cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIPFORGE_CACHE", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real clips; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("LIPFORGE_SHARED", ROOT.parent / "shared"))
    if not (folder / "clips").is_dir():
        pytest.skip(f"no real clips: {folder}/clips does not exist (set LIPFORGE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def object_store_process() -> Iterator[object_store.Store]:
    """One S3 endpoint for all tests of a session, a process of its own."""
    store = object_store.Store()
    yield store
    store.close()


@pytest.fixture
def store(
    object_store_process: object_store.Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[object_store.Store]:
    """The endpoint, for the clients of this test and of the processes it starts."""
    object_store.use(monkeypatch, object_store_process.url)
    with object_store.no_client_left():
        yield object_store_process


@pytest.fixture
def proxy(
    store: object_store.Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[object_store.FaultyProxy]:
    """The same store, behind a proxy that can be given faults; clients talk to the proxy."""
    with object_store.FaultyProxy(store.url) as faulty:
        object_store.use(monkeypatch, faulty.url)
        yield faulty
