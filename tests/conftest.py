"""Fixtures that many tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
"""PyTorch 2.13's bfloat16 convolutions on AMX gave NaN in a virtual machine; other results are the
same with and without."""


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
