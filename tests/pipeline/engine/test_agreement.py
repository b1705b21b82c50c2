"""What a worker must share with the driver; test_cluster.py has a real cluster."""

import pytest
from pathspec import PathSpec

from pipeline.engine import agreement
from pipeline.engine.agreement import CODE, ROOT, agreement_of, difference, insist
from pipeline.engine.ray_connection import NOT_SHIPPED
from pipeline.errors import ClusterError
from tests.doubles import Halve

FACTS = {"Python": "3.11.7", "package numpy": "2.4.6", "code": "0123", "weights a.bin": "ab"}


@pytest.mark.parametrize(
    ("name", "there", "fix"),
    [
        ("Python", "3.12.1", "start that node's Ray with the same Python version"),
        ("package numpy", "2.0.0", "on that node: pip install 'numpy==2.4.6'"),
        ("code", "4567", "another copy of lipforge"),
        ("weights a.bin", "cd", "give that node the same file"),
    ],
)
def test_a_difference_is_one_line_with_node_both_values_and_the_fix(name, there, fix):
    line = difference(FACTS, {**FACTS, name: there}, "10.0.0.3 (w3)")
    assert line.startswith(f"node 10.0.0.3 (w3): {name} is {there}, but {FACTS[name]} on the ")
    assert fix in line
    assert "\n" not in line


def test_no_difference_is_none_and_a_package_that_only_one_has_is_one():
    assert difference(FACTS, dict(FACTS), "n") == ""
    there = {**FACTS, "package av": "16.0"}
    assert "package av is 16.0, but absent on" in difference(FACTS, there, "n")
    assert "pip uninstall av" in difference({**FACTS, "package av": "absent"}, there, "n")


def test_a_worker_of_this_machine_agrees_and_one_with_another_package_stops_the_run(
    monkeypatch, tmp_path
):
    assert agreement_of(Halve()) is None, "no cluster: nothing to compare"
    insist(None, Halve())
    monkeypatch.setenv("LIPFORGE_RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("LIPFORGE_CACHE", str(tmp_path))
    agreed = agreement_of(Halve())
    insist(agreed, Halve())
    real = agreement.package_version
    monkeypatch.setattr(
        agreement, "package_version", lambda name: "0.1" if name == "numpy" else real(name)
    )
    with pytest.raises(ClusterError, match=r"package numpy is 0\.1, but 2"):
        insist(agreed, Halve())


def test_an_edit_of_any_file_of_the_code_changes_its_digest(monkeypatch, tmp_path):
    file = tmp_path / "stages" / "one.py"
    file.parent.mkdir()
    monkeypatch.setattr(agreement, "ROOT", tmp_path)
    digests = []
    for text in ("a = 1", "a = 2", "a = 1"):
        file.write_text(text)
        agreement.code_digest.cache_clear()
        digests.append(agreement.code_digest())
    agreement.code_digest.cache_clear()
    assert digests[0] == digests[2] != digests[1]


def test_all_code_that_is_compared_is_shipped():
    spec = PathSpec.from_lines("gitignore", NOT_SHIPPED)
    files = [path for name in CODE for path in (ROOT / name).rglob("*.py")]
    names = [path.relative_to(ROOT).as_posix() for path in files]
    assert "trainers/data/clip.py" in names
    assert [name for name in names if spec.match_file(name)] == []
    assert spec.match_file("data/ingest/videos.parquet")
    assert spec.match_file("models/train_ldm/model.json")
