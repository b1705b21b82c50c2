"""In one process, a stage's numpy has one thread of BLAS, and afterwards as many as before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pipeline.engine.cache import LocalCache
from pipeline.engine.outcome import Work
from pipeline.engine.runner import SerialRunner
from pipeline.engine.stage import Reject, Stage


def blas_threads() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


class Looking(Stage[str, Any]):
    """Notes how many threads BLAS has while an item is processed."""

    name: ClassVar[str] = "looking"
    version: ClassVar[str] = "1"

    def __init__(self) -> None:
        self.seen: list[set[int]] = []

    def item_id(self, item: str) -> str:
        return item

    def identity(self, item: str) -> Mapping[str, Any]:
        return {"item": item}

    def process(self, item: str, workdir: Path) -> Sequence[Any | Reject] | Reject:
        self.seen.append(blas_threads())
        return []


@pytest.mark.skipif(not blas_threads(), reason="this numpy names no BLAS that can be asked")
def test_blas_has_one_thread_while_items_are_processed(tmp_path: Path) -> None:
    stage, work = Looking(), Work("one", "one", "k" * 64)
    with threadpool_limits(2, user_api="blas"):
        list(SerialRunner().run(stage, [work], LocalCache(tmp_path)))
        assert stage.seen == [{1}]
        assert blas_threads() == {2}
