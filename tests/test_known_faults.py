"""Every fault that docs/reliability.md says was found has the test that it names."""

import re

import pytest

from tests.conftest import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("path", "test"), NAMED.findall(PAGE))
def test_the_test_that_a_known_fault_names_is_there(path, test):
    assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8")
