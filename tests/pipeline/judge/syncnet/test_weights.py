"""The official weights: fetched on demand, pinned at first use."""

import hashlib
import http.server
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import StorageError, WeightsError, WeightsUnavailableError
from pipeline.judge.syncnet import weights as syncnet_weights
from pipeline.judge.syncnet.network import SyncNet, load_network
from pipeline.weights import files as weights
from pipeline.weights import first_use

REAL_VALIDATORS = syncnet_weights.VALIDATORS
FIRST, OTHER = b"official weights" * 100, b"something else" * 100
DIGEST = hashlib.sha256(FIRST).hexdigest()
PAGE = b"<!DOCTYPE html><html><title>Log in to the hotel's network</title></html>"


def no_page(content: bytes) -> None:
    """Stand in for the real validator, which wants 54 MB."""
    if content.startswith(b"<"):
        raise WeightsError("a page")


class _Home(http.server.ThreadingHTTPServer):
    """The official home, on this machine."""

    content: bytes | None = FIRST
    requests = 0


class _Serve(http.server.BaseHTTPRequestHandler):
    server: _Home

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(200 if self.server.content else 404)
        self.end_headers()
        self.wfile.write(self.server.content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Home]:
    """Serve the file; weights folder, lock and pinned digests are of this test alone."""
    with _Home(("127.0.0.1", 0), _Serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        entry = {"name": "syncnet_v2.model", "what": "test", "licence": "none", "sha256": ""}
        url = f"http://127.0.0.1:{server.server_port}/syncnet_v2.model"
        entry |= {"kind": "http-first-trust", "location": url}
        lock = tmp_path / "lock.json"
        lock.write_text(json.dumps({"wheels": {}, "weights": [entry]}))
        monkeypatch.setattr(weights, "LOCK", lock)
        monkeypatch.setattr(syncnet_weights, "VALIDATORS", {syncnet_weights.NAME: no_page})
        monkeypatch.setattr("pipeline.cli.VALIDATORS", {syncnet_weights.NAME: no_page})
        monkeypatch.setattr(first_use, "PINNED", tmp_path / "trusted.lock.json")
        monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path / "weights"))
        yield server
        server.shutdown()
        thread.join()


def record() -> dict[str, str]:
    return dict(json.loads(first_use.PINNED.read_text()))


def test_the_lock_names_the_official_home_and_no_digest() -> None:
    entry = next(one for one in weights.list_weights() if one.name == syncnet_weights.NAME)
    assert entry.kind == "http-first-trust"
    assert entry.location.startswith("http://www.robots.ox.ac.uk/~vgg/")
    assert entry.sha256 == ""


def test_the_first_fetch_is_pinned_and_printed(
    home: _Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = syncnet_weights.find()
    assert path == tmp_path / "weights" / "syncnet_v2.model"
    assert path.read_bytes() == FIRST
    assert record() == {"syncnet_v2.model": DIGEST}
    assert weights.weights_file_sha256(path) == DIGEST == weights.sha256_of("syncnet_v2.model")
    said = capsys.readouterr().err
    assert f"trusted at first use, SHA-256 {DIGEST}" in said
    assert str(first_use.PINNED) in said


def test_later_uses_neither_fetch_nor_print(
    home: _Home, capsys: pytest.CaptureFixture[str]
) -> None:
    syncnet_weights.find()
    capsys.readouterr()
    assert syncnet_weights.find().read_bytes() == FIRST
    assert home.requests == 1
    assert capsys.readouterr().err == ""


def test_another_file_at_the_home_is_refused_with_both_digests_and_the_way_out(
    home: _Home, tmp_path: Path
) -> None:
    syncnet_weights.find().unlink()
    home.content = OTHER
    with pytest.raises(WeightsError, match=f"but {DIGEST} was trusted") as refusal:
        syncnet_weights.find()
    assert hashlib.sha256(OTHER).hexdigest() in str(refusal.value)
    assert "trusted.lock.json" in str(refusal.value)
    assert not (tmp_path / "weights" / "syncnet_v2.model").exists()
    first_use.PINNED.write_text("{}")
    assert syncnet_weights.find().read_bytes() == OTHER


def test_an_altered_copy_is_refused(home: _Home) -> None:
    syncnet_weights.find().write_bytes(FIRST[:-1])
    assert weights.verify() == {"syncnet_v2.model": "altered"}
    with pytest.raises(WeightsError, match=f"but {DIGEST} was trusted"):
        syncnet_weights.find()
    with pytest.raises(WeightsError, match="altered; run `lipforge weights fetch syncnet_v2"):
        weights.path_of("syncnet_v2.model")
    told = CliRunner().invoke(app, ["weights", "verify"]).exception
    assert str(told) == (
        "syncnet_v2.model is altered; run `lipforge weights fetch syncnet_v2.model`"
    )


def test_a_copy_put_there_by_hand_is_pinned_without_a_fetch(home: _Home, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "syncnet_v2.model").write_bytes(OTHER)
    assert weights.verify() == {"syncnet_v2.model": "untrusted"}
    syncnet_weights.find()
    assert weights.verify() == {"syncnet_v2.model": "ok"}
    assert home.requests == 0


@pytest.fixture
def real_validator(home: _Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncnet_weights, "VALIDATORS", REAL_VALIDATORS)


def state_bytes(**changes: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save({**SyncNet().state_dict(), **changes}, buffer)
    return buffer.getvalue()


def test_the_validator_of_syncnet_s_file_is_the_reader_of_the_network() -> None:
    assert list(REAL_VALIDATORS) == [syncnet_weights.NAME]
    REAL_VALIDATORS[syncnet_weights.NAME](state_bytes())
    with pytest.raises(WeightsError, match="not a PyTorch state dict"):
        REAL_VALIDATORS[syncnet_weights.NAME](PAGE)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (lambda: PAGE, "not a PyTorch state dict"),
        (lambda: state_bytes()[:1000], "not a PyTorch state dict"),
        (lambda: state_bytes(more=torch.zeros(1)), "1 keys unknown: more"),
        (lambda: state_bytes(**{"netfclip.3.bias": torch.zeros(7)}), "of another shape: netfclip"),
    ],
    ids=["log-in page", "cut off", "another key", "another shape"],
)
def test_what_is_no_syncnet_is_never_pinned(
    home: _Home, real_validator: None, tmp_path: Path, content: Callable[[], bytes], fault: str
) -> None:
    home.content = content()
    with pytest.raises(WeightsError, match=f"{fault}.*nothing was trusted.*another network"):
        syncnet_weights.find()
    assert not first_use.PINNED.exists()
    assert not (tmp_path / "weights").exists()
    by_hand = tmp_path / "weights" / "syncnet_v2.model"
    by_hand.parent.mkdir()
    by_hand.write_bytes(home.content)
    with pytest.raises(WeightsError, match=f"{fault}.*delete {by_hand}"):
        syncnet_weights.find()
    assert not first_use.PINNED.exists()


def test_weights_that_fit_the_network_are_pinned(home: _Home, real_validator: None) -> None:
    home.content = state_bytes()
    assert load_network(syncnet_weights.find())
    assert record() == {"syncnet_v2.model": hashlib.sha256(home.content).hexdigest()}


def test_a_file_without_a_validator_is_never_pinned(home: _Home) -> None:
    with pytest.raises(WeightsError, match="nothing here can check"):
        weights.fetch([syncnet_weights.NAME])
    assert not first_use.PINNED.exists()


def test_many_at_once_end_with_one_whole_file(home: _Home, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: syncnet_weights.find(), range(8)))
    assert [one.name for one in (tmp_path / "weights").iterdir()] == ["syncnet_v2.model"]
    assert record() == {"syncnet_v2.model": DIGEST}


def test_a_home_that_does_not_answer_is_an_error_and_pins_nothing(home: _Home) -> None:
    home.content = None
    with pytest.raises(
        WeightsUnavailableError, match=r"cannot be downloaded: .*fetch syncnet_v2\.model`"
    ):
        syncnet_weights.find()
    assert not first_use.PINNED.exists()


def test_a_damaged_file_of_pinned_digests_is_an_error(home: _Home) -> None:
    for content in ("{", "[]", '{"syncnet_v2.model": 1}'):
        first_use.PINNED.write_text(content)
        with pytest.raises(WeightsError, match="restore it with git"):
            syncnet_weights.find()


def test_a_record_that_cannot_be_written_is_a_storage_error(
    home: _Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(first_use, "PINNED", tmp_path / "file" / "trusted.lock.json")
    with pytest.raises((StorageError, WeightsError), match=r"file/trusted\.lock\.json"):
        syncnet_weights.find()


def test_a_path_of_the_users_own_is_taken_as_it_is(home: _Home, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(OTHER)
    assert syncnet_weights.find(str(own)) == own
    assert home.requests == 0
    with pytest.raises(WeightsError, match=r"sync\.syncnet_weights"):
        syncnet_weights.find(str(tmp_path / "absent"))
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.weights_file_sha256(tmp_path / "absent")


def test_only_a_fetch_by_name_gets_it_and_its_absence_is_no_fault(home: _Home) -> None:
    run = CliRunner().invoke
    assert run(app, ["weights", "fetch"]).exit_code == 0
    assert home.requests == 0
    assert run(app, ["weights", "verify"]).exit_code == 0
    assert "not fetched" in " ".join(run(app, ["weights", "list"]).stdout.split())
    assert run(app, ["weights", "fetch", "syncnet_v2.model"]).exit_code == 0
    assert home.requests == 1
    assert weights.verify() == {"syncnet_v2.model": "ok"}
