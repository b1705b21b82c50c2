import re

import pytest

from pipeline.errors import ParamsError
from pipeline.params.environment import Environment, environment, for_workers, forwarded, variable
from tests.conftest import ROOT
from tests.source_tree import modules


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for field in Environment.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def test_the_page_about_running_lists_exactly_these_variables():
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(LIPFORGE_\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(variable(field) for field in Environment.model_fields)
    assert len(rows) == len(set(rows))


def test_no_other_module_reads_a_variable_of_ours():
    for path in modules().values():
        if path.as_posix() != "pipeline/params/environment.py":
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not re.search(r"(environ|getenv)[^\n]*LIPFORGE_", text), path


def test_nothing_set_is_one_machine_with_ray_and_the_folders_of_the_project():
    found = environment()
    assert (found.runner, found.ray_address, found.cache, found.gpu) == ("ray", "", "", "0")
    assert (found.workers, found.weights, found.training) == (None, None, None)
    assert found.retry == ()


def test_values_are_read_when_asked_and_empty_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("LIPFORGE_WORKERS", "3")
    monkeypatch.setenv("LIPFORGE_TRAIN_LOGS", "dvclive,tensorboard")
    assert (environment().workers, environment().train_logs) == (3, ("dvclive", "tensorboard"))
    monkeypatch.setenv("LIPFORGE_WORKERS", "")
    assert environment().workers is None


def test_reasons_to_try_again_are_a_list(monkeypatch):
    monkeypatch.setenv("LIPFORGE_RETRY", "no_face,quarantined")
    assert environment().retry == ("no_face", "quarantined")


def test_blanks_beside_the_commas_of_a_list_count_for_nothing(monkeypatch):
    monkeypatch.setenv("LIPFORGE_TRAIN_SPEED", "exact_fp32, compile")
    monkeypatch.setenv("LIPFORGE_RETRY", " no_face , quarantined")
    assert environment().train_speed == ("exact_fp32", "compile")
    assert environment().retry == ("no_face", "quarantined")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("WORKERS", "0", "LIPFORGE_WORKERS=0: must be a whole number of at least 1"),
        ("TRAIN_PROCESSES", "1.5", "LIPFORGE_TRAIN_PROCESSES=1.5: must be a whole number"),
        ("LOADER_WORKERS", "٣x", "LIPFORGE_LOADER_WORKERS=٣x: must be a whole number"),
        ("RUNNER", "slurm", "LIPFORGE_RUNNER=slurm: must be `ray` or `serial`"),
        ("RETRY", "No face", "LIPFORGE_RETRY: 'No face': must be reasons as `lipforge status`"),
        ("TRAIN_LOGS", "wandb", "LIPFORGE_TRAIN_LOGS: 'wandb': must be of tensorboard, dvclive"),
    ],
)
def test_an_impossible_value_names_the_variable_and_what_is_possible(
    monkeypatch, name, text, message
):
    monkeypatch.setenv(f"LIPFORGE_{name}", text)
    with pytest.raises(ParamsError, match=re.escape(message)):
        environment()


def test_workers_on_other_machines_get_only_what_is_set(monkeypatch):
    assert forwarded("cache", "gpu") == {}
    monkeypatch.setenv("LIPFORGE_GPU", "cpu")
    monkeypatch.setenv("LIPFORGE_CACHE", "s3://bucket/lipforge")
    assert forwarded("cache", "gpu") == {
        "LIPFORGE_CACHE": "s3://bucket/lipforge",
        "LIPFORGE_GPU": "cpu",
    }


def test_workers_learn_where_the_object_store_is_but_no_secret(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LIPFORGE_WORKERS", "3")
    assert for_workers()["AWS_ENDPOINT_URL"] == "http://minio:9000"
    assert "secret" not in for_workers().values()
    assert "LIPFORGE_WORKERS" not in for_workers()


@pytest.mark.parametrize("value", ["banana", "-1", "cuda:0"])
def test_a_gpu_is_an_index_or_cpu(monkeypatch, value):
    monkeypatch.setenv("LIPFORGE_GPU", value)
    with pytest.raises(ParamsError, match=f"LIPFORGE_GPU={value}: must be the index of a GPU"):
        environment()


def test_a_number_in_other_digits_is_a_number_and_names_are_exact(monkeypatch):
    monkeypatch.setenv("LIPFORGE_WORKERS", "٣")
    monkeypatch.setenv("lipforge_runner", "nonsense")
    assert (environment().workers, environment().runner) == (3, "ray")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LIPFORGE_CACHE", "s3://", "names no bucket; must be s3://BUCKET/PREFIX"),
        ("LIPFORGE_SHARDS", "s3:///", "names no bucket; must be s3://BUCKET/PREFIX"),
        ("LIPFORGE_SCRATCH", "s3://bucket/x", "must be a folder of this machine, no URL"),
    ],
)
def test_a_place_that_is_none_is_named_with_what_it_must_be(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(ParamsError, match=f"{name}.*{said}"):
        environment()
