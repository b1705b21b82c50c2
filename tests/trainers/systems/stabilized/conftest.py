"""Networks small enough for the core tests."""

import pytest

from tests.trainers.systems.stabilized.made import SMALL
from trainers.systems.stabilized.configs import CONFIGS


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(CONFIGS, "small", SMALL)
