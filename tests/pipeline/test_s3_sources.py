"""Films in a bucket: listed, fetched once, patiently, and never an old or a short copy."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import SourceError, UnreadableError
from pipeline.sources import fingerprint, list_sources, local_copy
from tests.object_store import BUCKET, Fault

FILM = f"s3://{BUCKET}/films/a.mp4"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr("pipeline.remote.FIRST_WAIT_S", 0.001)
    monkeypatch.setenv("LIPFORGE_SCRATCH", str(tmp_path / "scratch"))


@pytest.fixture
def film(store, proxy):
    store.put("films/a.mp4", b"film" * 1000)
    return proxy


def gets(proxy) -> int:
    return sum(method == "GET" and "a.mp4" in path for method, path in proxy.asked)


def read(url: str = FILM) -> bytes:
    with local_copy(url) as path:
        assert path.suffix == ".mp4"
        return path.read_bytes()


def test_a_prefix_is_listed_whole_and_nothing_beside_it(store):
    for name in (
        "set/",
        "set/a.mp4",
        "set/deep/",
        "set/deep/b.mp4",
        "set/.x",
        "set2/c.mp4",
        "set.mp4",
    ):
        store.put(name, b"film" if name[-1] != "/" else b"")
    found = [(one.uri, one.location) for one in list_sources(f"s3://{BUCKET}/set/")]
    names = ["a.mp4", "deep/b.mp4"]
    assert found == [(name, f"s3://{BUCKET}/set/{name}") for name in names]
    assert [one.uri for one in list_sources(f"s3://{BUCKET}/set/a.mp4")] == ["a.mp4"]
    with pytest.raises(SourceError, match="no file below"):
        list_sources(f"s3://{BUCKET}/nothing/")


def test_a_film_is_fetched_once_however_many_items_need_it(film):
    with ThreadPoolExecutor(6) as threads:
        bodies = set(threads.map(lambda _: read(), range(12)))
    assert bodies == {b"film" * 1000}
    assert gets(film) == 1


def test_a_replaced_film_is_fetched_again(film, store):
    assert read() == b"film" * 1000
    store.put("films/a.mp4", b"FILM" * 1000)
    assert read() == b"FILM" * 1000
    assert gets(film) == 2


@pytest.mark.parametrize("kind", ["busy", "cut", "lost"])
def test_a_fault_that_passes_is_not_seen(film, kind):
    film.faults = [Fault(kind, times=2, method="GET", path=r"a\.mp4")]
    assert read() == b"film" * 1000
    assert gets(film) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_store_that_stays_busy_is_asked_four_times_and_named(film, method):
    film.faults = [Fault("busy", method=method, path=r"a\.mp4")]
    with pytest.raises(UnreadableError, match=r"cannot be (fetched|looked up): HTTP 503"):
        read()
    assert sum(asked == method and "a.mp4" in path for asked, path in film.asked) == 4
    film.faults = []
    assert read() == b"film" * 1000


def test_a_film_that_is_gone_is_said_so_at_once(film, store):
    store.delete("films/a.mp4")
    with pytest.raises(UnreadableError, match="cannot be looked up: FileNotFoundError"):
        read()
    assert film.counts()["HEAD"] == 1


def test_films_that_were_listed_are_known_again_without_a_request_for_each(film, store):
    for number in range(20):
        store.put(f"many/{number % 3}/{number}.mp4", b"film")
    sources = list_sources(f"s3://{BUCKET}/many/")
    film.asked.clear()
    assert len({fingerprint(one.location) for one in sources}) == 20
    assert film.asked == []
