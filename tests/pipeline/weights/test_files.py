"""pipeline.weights.files: where model files come from, and that only the locked bytes are used."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import WeightsError, WeightsUnavailableError
from pipeline.judge.syncnet.weights import VALIDATORS
from pipeline.weights import files as weights

CONTENT = b"a model" * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class _Serve(http.server.BaseHTTPRequestHandler):
    claims = len(CONTENT)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.claims))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/model.bin"
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    entry = {"name": "model.bin", "what": "a test", "licence": "CC0-1.0", "sha256": DIGEST}
    wheel = {"requirement": "toymodel==1.0", "file": "toymodel-1.0-py3-none-any.whl"}
    wheel |= {"platform": "manylinux_2_28_x86_64", "python_version": "3.11"}
    wheel |= {"implementation": "cp", "sha256": changes.pop("wheel_sha256", "")}
    document = {"wheels": {"toy": wheel}, "weights": [entry | changes]}
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(document))
    weights._lock.cache_clear()
    monkeypatch.setattr(weights, "LOCK", path)


def _toy_wheel(folder: Path) -> str:
    """A wheel that real pip accepts."""
    folder.mkdir()
    path = folder / "toymodel-1.0-py3-none-any.whl"
    info = "toymodel-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toymodel/model.bin", CONTENT)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: toymodel\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_locked_file_names_licence_source_and_digest() -> None:
    for entry in weights.list_weights():
        assert entry.what
        assert entry.licence
        assert len(entry.sha256) == (0 if entry.kind == "http-first-trust" else 64)
        assert entry.name in VALIDATORS or entry.kind != "http-first-trust"
        if entry.kind == "pip-wheel":
            wheel = weights.Wheel(**weights._lock(weights.LOCK)["wheels"][entry.location])
            assert wheel.requirement in " ".join(wheel.pip_download(Path("x")))
            assert "--no-deps" in wheel.pip_download(Path("x"))


def test_a_file_inside_a_wheel_is_fetched_by_pip_and_checked(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = _toy_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    source = {"kind": "pip-wheel", "location": "toy", "member": "toymodel/model.bin"}
    _lock(tmp_path, monkeypatch, wheel_sha256=digest, **source)
    assert weights.verify() == {"model.bin": "absent"}
    assert weights.fetch() == [folder / "model.bin"]
    assert weights.path_of("model.bin").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["model.bin"]


def test_a_wheel_that_pip_cannot_find_is_an_error_that_says_so(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    _lock(tmp_path, monkeypatch, kind="pip-wheel", location="toy", member="x")
    with pytest.raises(WeightsError, match="pip could not download"):
        weights.fetch()


def test_a_file_behind_a_url_is_fetched_by_many_at_once(
    tmp_path: Path, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lock(tmp_path, monkeypatch, kind="http", location=url)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: weights.fetch(["model.bin"]), range(8)))
    assert weights.verify() == {"model.bin": "ok"}
    assert [path.name for path in folder.iterdir()] == ["model.bin"]


def test_other_bytes_than_the_locked_ones_are_never_stored(
    tmp_path: Path, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lock(tmp_path, monkeypatch, kind="http", location=url, sha256="0" * 64)
    with pytest.raises(WeightsError, match="the lock says 0000"):
        weights.fetch()
    assert not folder.exists()


def test_an_altered_file_is_not_used_and_the_message_says_how_to_mend_it(
    tmp_path: Path, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lock(tmp_path, monkeypatch, kind="http", location=url)
    weights.fetch()
    (folder / "model.bin").write_bytes(CONTENT + b"!")
    assert weights.verify() == {"model.bin": "altered"}
    with pytest.raises(WeightsError, match="altered; run `lipforge weights fetch`"):
        weights.path_of("model.bin")
    weights.fetch()
    assert weights.path_of("model.bin").read_bytes() == CONTENT


def test_an_absent_or_unknown_file_is_an_error(folder: Path) -> None:
    with pytest.raises(WeightsError, match="absent; run `lipforge weights fetch`"):
        weights.path_of("face_landmark.tflite")
    with pytest.raises(WeightsError, match="known: "):
        weights.path_of("nothing.bin")


def test_an_unreachable_url_is_a_weights_error(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lock(tmp_path, monkeypatch, kind="http", location="http://127.0.0.1:1/model.bin")
    with pytest.raises(WeightsUnavailableError, match="cannot be downloaded"):
        weights.fetch()


def test_an_answer_that_breaks_off_is_no_download(
    tmp_path: Path, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Serve, "claims", len(CONTENT) + 1)
    _lock(tmp_path, monkeypatch, kind="http", location=url)
    with pytest.raises(WeightsUnavailableError, match="cannot be downloaded"):
        weights.fetch()


def test_an_answer_without_an_end_is_cut_off_and_stored_nowhere(
    tmp_path: Path, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lock(tmp_path, monkeypatch, kind="http", location=url)
    monkeypatch.setattr(weights, "MAX_DOWNLOAD_BYTES", len(CONTENT) - 1)
    with pytest.raises(WeightsError, match="more than 699 bytes") as refusal:
        weights.fetch()
    assert not isinstance(refusal.value, WeightsUnavailableError)
    assert not folder.exists()
    monkeypatch.setattr(weights, "MAX_DOWNLOAD_BYTES", len(CONTENT))
    assert weights.fetch()


def test_pipeline_weights_is_imported_without_torch() -> None:
    code = "import sys, pipeline.weights.files; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=weights.ROOT)


def test_a_bundled_file_is_checked_where_it_lies(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "ROOT", tmp_path)
    _lock(tmp_path, monkeypatch, kind="bundled", location="inside/model.bin")
    with pytest.raises(WeightsError, match="restore it with git"):
        weights.fetch()
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "model.bin").write_bytes(CONTENT)
    assert weights.fetch() == [tmp_path / "inside" / "model.bin"]
