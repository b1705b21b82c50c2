"""The lines of a stage in a log."""

import re

import pytest

from pipeline.engine.cache import LocalCache
from pipeline.engine.command import run_stage
from pipeline.engine.progress import Progress
from pipeline.engine.runner import SerialRunner
from tests.doubles import Halve


def test_a_line_of_progress_lists_endings_only_where_there_are_some(workspace, capsys):
    with pytest.raises(KeyboardInterrupt), Progress("halve", 48):
        raise KeyboardInterrupt
    assert re.fullmatch(r"halve: stopped: 0/48 after \d+ s\n", capsys.readouterr().err)
    run_stage(Halve(), [2, 4], SerialRunner(), LocalCache(workspace / "c"))
    assert re.fullmatch(
        r"halve: done: 2/2 \(2 kept; 0 from cache\) after \d+ s\n", capsys.readouterr().err
    )
