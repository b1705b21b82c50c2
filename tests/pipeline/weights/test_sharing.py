"""Model files through the shared cache: by digest, to a folder or an object store and back."""

import hashlib
import json
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import WeightsError
from pipeline.weights import files as weights
from pipeline.weights.sharing import bring, offer, portable_path

CONTENT = b"a model" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DIGESTS = {"model.bin": SHA256, "inside.npz": "f" * 64}


@pytest.fixture(params=["folder", "memory"])
def cache(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "cache")
    fsspec.filesystem("memory").store.clear()
    return "memory://cache"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make this process one of several machines: each has weights of its own."""
    entry = {"name": "model.bin", "what": "a test", "licence": "CC0-1.0", "sha256": SHA256}
    entry |= {"kind": "http", "location": "http://127.0.0.1:1/model.bin"}
    bundled = {**entry, "name": "inside.npz", "kind": "bundled", "location": "inside.npz"}
    (tmp_path / "lock.json").write_text(json.dumps({"wheels": {}, "weights": [entry, bundled]}))
    monkeypatch.setattr(weights, "LOCK", tmp_path / "lock.json")

    def become(name):
        monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path / name))
        monkeypatch.setenv("HOME", str(tmp_path / name))
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    return become


def stored(cache):
    fs, path = fsspec.core.url_to_fs(f"{cache}/weights/{SHA256}")
    return fs, path


def test_a_worker_gets_the_drivers_file_and_what_is_bundled_is_not_sent(cache, machine):
    (machine("driver") / "model.bin").write_bytes(CONTENT)
    offer(cache, DIGESTS, {})
    fs, path = stored(cache)
    assert [one.rpartition("/")[2] for one in fs.ls(path.rpartition("/")[0], detail=False)] == [
        SHA256
    ]
    worker = machine("worker")
    (worker / "model.bin").write_bytes(b"an old one")
    bring(cache, DIGESTS, {})
    assert weights.path_of("model.bin").read_bytes() == CONTENT
    fs.rm(path)
    bring(cache, DIGESTS, {})  # it is there: nothing is asked for


def test_damaged_bytes_and_an_absent_file_are_named_and_never_used(cache, machine):
    (machine("driver") / "model.bin").write_bytes(CONTENT)
    offer(cache, DIGESTS, {})
    fs, path = stored(cache)
    worker = machine("worker")
    fs.pipe_file(path, CONTENT[:-1] + b"?")
    with pytest.raises(WeightsError, match=f"weights/{SHA256}: damaged.*delete it"):
        bring(cache, DIGESTS, {})
    fs.rm(path)
    with pytest.raises(WeightsError, match=f"weights/{SHA256}: not there"):
        bring(cache, DIGESTS, {})
    assert list(worker.iterdir()) == []


def test_a_file_that_the_user_named_is_put_there_but_replaces_none(cache, machine, tmp_path):
    own = {"pack.onnx": tmp_path / "driver" / "models" / "pack.onnx"}
    machine("driver")
    own["pack.onnx"].parent.mkdir(parents=True)
    own["pack.onnx"].write_bytes(CONTENT)
    offer(cache, {"pack.onnx": SHA256}, own)
    own["pack.onnx"].unlink()
    bring(cache, {"pack.onnx": SHA256}, own)
    assert own["pack.onnx"].read_bytes() == CONTENT
    own["pack.onnx"].write_bytes(b"mine")
    with pytest.raises(WeightsError, match=r"pack\.onnx: SHA-256 .* remove it there"):
        bring(cache, {"pack.onnx": SHA256}, own)
    assert own["pack.onnx"].read_bytes() == b"mine"


def test_a_copy_made_by_dvc_exp_run_temp_uses_the_files_of_its_workspace(
    machine, tmp_path, monkeypatch
):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmp0"
    kept = tmp_path / ".cache" / "weights" / "model.bin"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(CONTENT)
    machine("empty")
    with pytest.raises(WeightsError, match=r"model\.bin is absent"):
        weights.path_of("model.bin")
    monkeypatch.setattr(weights, "ROOT", copy)
    assert weights.path_of("model.bin") == kept
    kept.write_bytes(b"another")
    with pytest.raises(WeightsError, match=r"model\.bin is absent"):
        weights.path_of("model.bin")


def test_a_path_under_the_home_folder_is_named_from_the_workers_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    assert portable_path(Path("/home/me/w.model")) == "~/w.model"
    assert portable_path(Path("~/w.model")) == "~/w.model"
    assert portable_path(Path("/mnt/w.model")) == "/mnt/w.model"
    monkeypatch.chdir(tmp_path)
    assert portable_path(Path("w.model")) == str(tmp_path / "w.model")
