"""Every block of docs/use_the_shards.md runs, and sees every clip exactly once."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.export.run import export_shards
from tests.conftest import ROOT
from tests.pipeline.export.made_shards import make_shards

BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/use_the_shards.md").read_text(), re.M | re.S
)
NEEDS = ("torch", "webdataset", "datasets", "megatron")
CHECK = "\nif __name__ == '__main__':\n    assert sorted(seen) == ['aaaa', 'bbbb'], seen\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data_set")
    shards = make_shards(root / "data")
    for layout, name in (("huggingface", "hf"), ("energon", "energon")):
        export_shards(layout, root / "data" / name, str(shards), (), lambda _: None)
    return root


def test_there_is_one_block_for_each_way():
    assert len(BLOCKS) == len(NEEDS)


@pytest.mark.slow
@pytest.mark.parametrize(("block", "package"), list(zip(BLOCKS, NEEDS, strict=False)), ids=NEEDS)
def test_a_snippet_sees_every_clip_once_with_more_workers_than_tars(block, package, folder):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    script = folder / f"{package}_snippet.py"
    script.write_text(block + CHECK, "utf-8")
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
