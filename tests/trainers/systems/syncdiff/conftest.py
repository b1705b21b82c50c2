"""A network small enough for the core tests."""

import pytest

from tests.trainers.systems.syncdiff.made import SMALL
from trainers.systems.syncdiff.configs import CONFIGS


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(CONFIGS, "small", SMALL)
