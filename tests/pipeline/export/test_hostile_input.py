"""Shards of somebody else, and places to write to, that an export must refuse or survive."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.digest import file_sha256
from pipeline.errors import StorageError
from pipeline.export.errors import ExportError
from pipeline.export.formats.energon import index_database
from pipeline.export.media import write_wav
from pipeline.export.out_folder import sole_writer
from pipeline.export.run import export_shards
from pipeline.media.flac import flac_bytes
from tests.pipeline.export.made_shards import make_shards

Entry = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("made"), {"train": {"aaaa": 20, "bbbb": 20}})


@pytest.fixture
def shards(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data" / "shards"))


def exported(shards: Path, out: Path, name: str = "mds") -> int:
    return export_shards(name, out, str(shards), (), lambda _: None).exported


def with_entry(shards: Path, change: Callable[[Entry], object]) -> Path:
    index = json.loads((shards / "index.json").read_text())
    change(index["shards"][0])
    (shards / "index.json").write_text(json.dumps(index))
    return shards


@pytest.mark.parametrize("name", ["mds", "folders", "huggingface", "energon"])
@pytest.mark.parametrize("key", ["name", "split"])
@pytest.mark.parametrize("value", ["../escaped.tar", "/tmp/escaped", "a/../../b.tar", 5, None, ""])
def test_an_index_that_names_a_place_outside_is_refused_and_nothing_is_written(
    shards, tmp_path, name, key, value
):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ExportError, match=rf"index.json: a shard whose `{key}`"):
        exported(with_entry(shards, lambda entry: entry.update({key: value})), tmp_path / "o", name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("key", ["name", "split", "sha256"])
def test_an_entry_that_lacks_a_field_is_named(shards, tmp_path, key):
    with pytest.raises(ExportError, match=key):
        exported(with_entry(shards, lambda entry: entry.pop(key)), tmp_path / "out")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"shards": [1]}', '{"shards": [null]}', "\0"])
def test_what_is_no_index_is_named(shards, tmp_path, text):
    (shards / "index.json").write_text(text)
    with pytest.raises(ExportError, match=r"index\.json"):
        exported(shards, tmp_path / "out")


@pytest.mark.parametrize("left", [0, 100, 5_000, -1024, -10_240])
def test_a_torn_tar_whose_digest_the_index_has_is_named(shards, tmp_path, left):
    tar = shards / "train/train-0000-000.tar"
    tar.write_bytes(tar.read_bytes()[:left] if left != -1024 else tar.read_bytes().rstrip(b"\0"))
    torn = with_entry(shards, lambda entry: entry.update(sha256=file_sha256(tar)))
    with pytest.raises(ExportError, match=r"train-0000-000\.tar: no whole tar"):
        exported(torn, tmp_path / "out")


def test_a_folder_in_the_place_of_a_tar_is_named(shards, tmp_path):
    (shards / "train/train-0000-000.tar").unlink()
    (shards / "train/train-0000-000.tar").mkdir()
    with pytest.raises(ExportError, match=r"train-0000-000\.tar: a folder"):
        exported(shards, tmp_path / "out")


def test_a_name_that_a_list_of_files_cannot_hold_is_refused(shards, tmp_path):
    with pytest.raises(ExportError, match="a list of files cannot name this"):
        exported(shards, tmp_path / "a\nb")
    assert exported(shards, tmp_path / "-ünï cödé '\" &") == 2


def test_nothing_is_written_into_the_shards_that_are_read(shards, tmp_path):
    with pytest.raises(ExportError, match="inside of the shards"):
        exported(shards, shards / "energon", "energon")
    (tmp_path / "link").symlink_to(shards)
    with pytest.raises(ExportError, match="inside of the shards"):
        exported(shards, tmp_path / "link/energon", "energon")


def test_a_link_is_followed_and_one_that_leads_nowhere_is_named_before_any_work(shards, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with pytest.raises(ExportError, match="link to what is not there"):
        exported(shards, tmp_path / "link")
    (tmp_path / "disk").mkdir()
    assert exported(shards, tmp_path / "link") == 2
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk/train/index.json").is_file()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "disk", "link"]


def test_the_folder_one_is_in_is_not_replaced(shards, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ExportError, match="the folder you are in"):
        exported(shards, Path())


def test_a_name_that_is_too_long_is_the_users_fault(shards, tmp_path):
    with pytest.raises(StorageError, match="too long"):
        exported(shards, tmp_path / ("x" * 300))


def test_two_exports_into_one_folder_do_not_mix(shards, tmp_path):
    with sole_writer(tmp_path / "out"), pytest.raises(ExportError, match="another export writes"):
        exported(shards, tmp_path / "out")
    assert exported(shards, tmp_path / "out") == 2


def test_a_full_disk_is_said_to_be_one():
    with pytest.raises(OSError, match="No space left"):
        write_wav(Path("/dev/full"), flac_bytes(np.zeros(640, np.int16), 16_000))
    with pytest.raises(StorageError, match="cannot be written"), index_database(Path(os.devnull)):
        pass
