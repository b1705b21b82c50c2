import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import DecodeError, SourceError, UnreadableError
from pipeline.sources import list_sources, local_copy, locations


def uris(source: object) -> list[str]:
    return [one.uri for one in list_sources(str(source))]


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_a_folder_is_listed_recursively_and_equal_base_names_stay_apart(tmp_path):
    touch(tmp_path, "b/1.mp4", "a/1.mp4", "a/deep/2.MKV", "top.avi")
    assert uris(tmp_path) == ["a/1.mp4", "a/deep/2.MKV", "b/1.mp4", "top.avi"]


def test_hostile_names_are_listed_as_they_are(tmp_path):
    names = ["a b.mp4", "quote'\".mp4", "$(touch x).mp4", "new\nline.mp4", "ünï.mp4", "-rf.mp4"]
    touch(tmp_path, *names)
    assert uris(tmp_path) == sorted(names)


def test_a_name_that_is_not_utf8_gets_a_printable_uri(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))).touch()
    assert uris(tmp_path) == ["bytes:%FF.mp4"]


def test_link_loops_end_and_linked_folders_are_followed(tmp_path):
    touch(tmp_path, "in/1.mp4", "out/2.mp4")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "out")
    assert uris(tmp_path / "in") == ["1.mp4", "other/2.mp4"]


def test_hidden_files_are_not_inputs(tmp_path):
    touch(tmp_path, ".DS_Store", ".git/x.mp4", "1.mp4")
    assert uris(tmp_path) == ["1.mp4"]


def test_a_glob_gives_uris_below_its_plain_part(tmp_path):
    touch(tmp_path, "x/1.mp4", "y/1.mp4", "y/1.txt")
    assert uris(f"{tmp_path}/*/*.mp4") == ["x/1.mp4", "y/1.mp4"]


def test_a_jsonl_list_carries_licence_speaker_language_and_url(tmp_path):
    touch(tmp_path, "v/1.mp4")
    line = '{"uri": "v/1.mp4", "licence": "CC0-1.0", "speaker": "s", "language": "de", "url": "u"}'
    (tmp_path / "sources.jsonl").write_text(line + "\n\n")
    (one,) = list_sources(str(tmp_path / "sources.jsonl"))
    assert (one.licence, one.speaker, one.language, one.url) == ("CC0-1.0", "s", "de", "u")
    assert Path(one.location).read_bytes() == b"v/1.mp4"


def test_a_csv_list_is_read(tmp_path):
    (tmp_path / "s.csv").write_text("uri,licence\n1.mp4,CC0-1.0\n")
    assert list_sources(str(tmp_path / "s.csv"))[0].licence == "CC0-1.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"uri": "a", "license": "x"}', "unknown field 'license'; known: uri, licence"),
        ('{"licence": "x"}', "no `uri`"),
        ("{", "not JSON"),
        ('{"uri": "a"}\n{"uri": "a"}', "listed twice"),
        ("[]", "must be an object"),
    ],
)
def test_a_broken_list_names_the_line_and_the_fix(tmp_path, text, message):
    (tmp_path / "s.jsonl").write_text(text)
    with pytest.raises(SourceError, match=message):
        list_sources(str(tmp_path / "s.jsonl"))


def test_an_empty_or_missing_source_is_the_users_error(tmp_path):
    with pytest.raises(SourceError, match="no file below"):
        list_sources(str(tmp_path))
    with pytest.raises(SourceError, match="does not exist"):
        list_sources(str(tmp_path / "none"))
    with pytest.raises(SourceError, match="no file below"):
        list_sources(str(tmp_path / "*.mp4"))


def test_an_fsspec_url_is_listed_and_fetched():
    fs = fsspec.filesystem("memory")
    fs.pipe("/bucket/clips/a/1.mp4", b"bytes")
    (one,) = list_sources("memory://bucket/clips")
    assert one.uri == "a/1.mp4"
    with local_copy(one.location) as path:
        assert path.read_bytes() == b"bytes"
    assert not path.exists()


def test_one_file_by_url_and_a_pattern_with_a_question_mark_keep_their_names():
    fs = fsspec.filesystem("memory")
    for name in ("/pat/d1/x.mp4", "/pat/d2/x.mp4", "/pat/.hidden/x.mp4"):
        fs.pipe(name, b"bytes")
    assert uris("memory://pat/d1/x.mp4") == ["x.mp4"]
    assert uris("memory://pat/d?/x.mp4") == ["d1/x.mp4", "d2/x.mp4"]
    assert uris("memory://pat") == ["d1/x.mp4", "d2/x.mp4"]


def test_a_csv_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbfuri,licence\n1.mp4,CC0-1.0\n")
    assert uris(tmp_path / "s.csv") == ["1.mp4"]


def test_locations_are_absolute_so_that_workers_elsewhere_find_them(tmp_path, monkeypatch):
    touch(tmp_path, "in/1.mp4")
    monkeypatch.chdir(tmp_path)
    assert Path(list_sources("in")[0].location).is_absolute()


def test_a_source_that_is_gone_since_ingest_fails_alone(tmp_path):
    touch(tmp_path, "1.mp4")
    found = locations(str(tmp_path), ["1.mp4", "2.mp4"])
    assert Path(found["1.mp4"]).exists()
    with pytest.raises(UnreadableError, match="no longer below"), local_copy(found["2.mp4"]):
        pass


def read_and_fail(location: Path, meanwhile: Callable[[Path], object]) -> None:
    with local_copy(str(location)) as path:
        meanwhile(path)
        raise DecodeError("it ends early")


def test_a_file_that_is_taken_away_while_it_is_read_is_no_broken_file(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    with pytest.raises(UnreadableError, match="No such file"):
        read_and_fail(tmp_path / "1.mp4", Path.unlink)
    with pytest.raises(UnreadableError, match="changed while"):
        read_and_fail(tmp_path / "2.mp4", lambda path: path.write_text("shorter"))
    with pytest.raises(DecodeError):
        read_and_fail(tmp_path / "3.mp4", Path.read_bytes)


def test_a_name_with_wildcards_is_a_name_where_such_a_file_exists(tmp_path):
    touch(tmp_path, "[a].mp4", "a.mp4", "*.mp4")
    assert uris(tmp_path / "[a].mp4") == ["[a].mp4"]
    assert uris(tmp_path / "*.mp4") == ["*.mp4"]
    fsspec.filesystem("memory").pipe("/wild/[a].mp4", b"bytes")
    assert uris("memory://wild/[a].mp4") == ["[a].mp4"]


def test_names_that_look_like_encoded_ones_stay_apart(tmp_path):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))).touch()
    touch(tmp_path, "bytes:%FF.mp4")
    assert len(set(uris(tmp_path))) == 2


def test_a_pipe_that_a_glob_finds_is_listed_and_a_list_that_is_one_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "s.jsonl")
    assert uris(tmp_path / "*.mp4") == ["pipe.mp4"]
    with pytest.raises(SourceError, match="a pipe"):
        list_sources(str(tmp_path / "s.jsonl"))
