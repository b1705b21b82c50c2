"""Sources behind a server that is down, cuts bodies short, or wants signatures."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline import remote
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import run_stage
from pipeline.engine.outcome import Outcome
from pipeline.engine.runner import SerialRunner
from pipeline.errors import UnreadableError
from pipeline.remote import fetch, public_url
from pipeline.sources import list_sources
from stages.ingest import Ingest
from tests.media import beep_flash

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def whole(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(body)


def cut(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(body[: len(body) // 2])
    request.close_connection = True


def refuse(status: int) -> Answer:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


class Server:
    """Answers GETs of a path by its list of answers, the last one for ever."""

    def __init__(self, body: bytes) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                left = outer.answers.setdefault(self.path.partition("?")[0], [whole])
                (left.pop(0) if len(left) > 1 else left[0])(self, body)

            def do_HEAD(self) -> None:
                refuse(403)(self, body)  # as a presigned GET does

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return beep_flash(tmp_path_factory.mktemp("film") / "a.mp4", seconds=2.0).read_bytes()


@pytest.fixture
def server(film: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
    started = Server(film)
    yield started
    started.http.shutdown()
    started.http.server_close()


def ingest(sources: Path, folder: Path) -> dict[str, Outcome]:
    items = list_sources(str(sources))
    found = run_stage(Ingest(), items, SerialRunner(), LocalCache(folder / "cache"))
    return {one.item_id: one for one in found}


@pytest.mark.parametrize("fault", [cut, refuse(503), refuse(429)])
def test_a_fault_that_passes_is_not_seen(server, tmp_path, film, fault):
    server.answers["/a.mp4"] = [fault, fault, whole]
    fetch(f"{server.url}/a.mp4", tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == film


@pytest.mark.parametrize(
    ("fault", "said", "asked"),
    [(cut, "ClientPayloadError", 4), (refuse(503), "HTTP 503", 4), (refuse(403), "HTTP 403", 1)],
    ids=["cut", "503", "403"],
)
def test_a_fault_that_stays_is_unreadable_after_a_bounded_number_of_tries(
    server, tmp_path, fault, said, asked
):
    server.answers["/a.mp4"] = [fault]
    with pytest.raises(UnreadableError, match=f"cannot be fetched: {said}") as raised:
        fetch(f"{server.url}/a.mp4?token=secret", tmp_path / "a.mp4")
    assert len(server.asked) == asked
    assert "secret" not in str(raised.value)


def test_links_that_are_down_stop_no_other_film_and_are_tried_again(server, workspace):
    for name, answer in {"cut": cut, "gone": refuse(404), "down": refuse(503)}.items():
        server.answers[f"/{name}.mp4"] = [answer]
    links = [f"{server.url}/{name}.mp4" for name in ("cut", "down", "gone", "good")]
    links += ["http://127.0.0.1:1/nobody.mp4", "nonsense://host/x.mp4"]
    lines = "".join(f'{{"uri": "{link}"}}\n' for link in links)
    (workspace / "films.jsonl").write_text(lines)
    found = ingest(workspace / "films.jsonl", workspace)
    kept = [name for name, one in found.items() if one.status == "kept"]
    assert kept == [f"{server.url}/good.mp4"]
    bad = {one.reason for name, one in found.items() if name not in kept}
    assert bad == {"unreadable"}
    server.answers.clear()
    again = ingest(workspace / "films.jsonl", workspace)
    assert sum(one.status == "kept" for one in again.values()) == 4
    assert again[kept[0]].cached


def test_a_signature_is_used_and_written_down_nowhere(server, workspace):
    signed = f"{server.url}/a.mp4?X-Amz-Signature=secret1&X-Amz-Expires=3"
    (workspace / "films.jsonl").write_text(f'{{"uri": "{signed}", "url": "{signed}"}}\n')
    (first,) = ingest(workspace / "films.jsonl", workspace).values()
    assert first.status == "kept"
    assert "secret1" not in repr(first)
    assert any("secret1" in path for path in server.asked)
    text = (workspace / "films.jsonl").read_text().replace("secret1", "secret2")
    (workspace / "films.jsonl").write_text(text)
    (signed_anew,) = ingest(workspace / "films.jsonl", workspace).values()
    assert signed_anew.cached
    server.answers["/a.mp4"] = [refuse(403)]
    stored = [p.read_text(errors="replace") for p in workspace.rglob("*.json*") if p.is_file()]
    assert not any("secret" in text for text in stored if "uri" not in text[:8])


def test_a_single_signed_link_is_a_source(server, workspace):
    (one,) = list_sources(f"{server.url}/folder/a.mp4?sig=secret")
    assert (one.uri, one.location) == ("a.mp4", f"{server.url}/folder/a.mp4?sig=secret")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/a.mp4", "https://h/a.mp4"),
        ("https://h/a.mp4?X-Amz-Date=1&X-Goog-Signature=2&se=3&sig=4", "https://h/a.mp4"),
        ("https://user:word@h/a.mp4#t=1", "https://h/a.mp4"),
        ("s3://bucket/what?.mp4", "s3://bucket/what?.mp4"),
        ("sftp://user:word@h/a.mp4", "sftp://h/a.mp4"),
        ("a?b.mp4", "a?b.mp4"),
    ],
)
def test_what_is_shown_of_an_address_names_the_file_and_no_right_to_read_it(url, shown):
    assert public_url(url) == shown


def test_fields_that_name_the_content_keep_two_files_apart():
    one, two = (public_url(f"https://h/watch?v={name}&token=x") for name in ("a", "b"))
    assert one != two
    assert one == public_url("https://h/watch?v=a&token=y")
    assert one.startswith("https://h/watch?sha256=")
