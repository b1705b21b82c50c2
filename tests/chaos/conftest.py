"""The workspace that the rehearsals share, and what they leave for the table."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.rehearsal import Rehearsal
from tests.chaos.verdict import Undisturbed, Verdict, judge


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(words): the row of docs/reliability.md")


@pytest.fixture(autouse=True)
def _row_of_the_table(request: pytest.FixtureRequest, record_property: Callable[..., None]) -> None:
    if mark := request.node.get_closest_marker("fault"):
        record_property("fault", mark.args[0])


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One workspace for all: its Ray is started once."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    with suppress(OSError, ValueError):
        head = json.loads((folder / ".cache/ray/head.json").read_text())
        os.kill(head["pid"], signal.SIGTERM)


@pytest.fixture(scope="session")
def undisturbed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The line when nothing happens; it is checked that its two runs are equal."""
    rehearsal = Rehearsal(home, tmp_path_factory.mktemp("undisturbed"))
    ended = rehearsal.run()
    assert ended.code == 0, ended.said
    assert rehearsal.repeated() == []
    return Undisturbed.of(rehearsal)


@pytest.fixture
def rehearsal(home: Path, undisturbed: Undisturbed, tmp_path: Path) -> Rehearsal:
    """The workspace, emptied."""
    return Rehearsal(home, tmp_path / "diary")


Rejudge = Callable[..., None]


@pytest.fixture
def ends_right(undisturbed: Undisturbed, record_property: Callable[..., None]) -> Rejudge:
    """Hold a workspace against one in which nothing happened, for the table, too."""

    def check(rehearsal: Rehearsal, in_flight: int) -> None:
        verdict: Verdict = judge(rehearsal, undisturbed, in_flight)
        record_property("verdict", verdict.facts())
        assert verdict.is_right(), (verdict, rehearsal.repeated())

    return check
