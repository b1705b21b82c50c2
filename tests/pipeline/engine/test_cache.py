from pathlib import Path

import pytest

from pipeline.digest import canonical_json
from pipeline.engine.cache import Cache, LocalCache, RemoteCache
from pipeline.errors import DamagedCacheError
from pipeline.local_copies import LocalCopies

KEY = "ab" + "0" * 62


@pytest.fixture(params=["local", "memory"])
def cache(request, tmp_path) -> Cache:
    if request.param == "local":
        return LocalCache(tmp_path / "cache")
    return RemoteCache(f"memory://{tmp_path.name}", LocalCopies(tmp_path / "scratch", 10**9))


def commit(cache: Cache, key: str = KEY, text: str = "pixels") -> None:
    with cache.workdir() as workdir:
        (workdir / "clip.bin").write_text(text)
        cache.commit(key, {"stage": "faces", "status": "kept", "parts": []}, workdir)


def test_a_committed_item_is_found_with_its_files(cache):
    assert cache.lookup(KEY) is None
    commit(cache)
    stored = cache.lookup(KEY)
    assert stored is not None
    assert stored["status"] == "kept"
    assert cache.artifact_path(KEY, "clip.bin").read_text() == "pixels"


def test_committing_twice_keeps_the_first_and_does_not_fail(cache):
    commit(cache)
    commit(cache)
    assert list(cache.keys()) == [KEY]


def test_an_abandoned_workdir_leaves_no_entry(cache):
    with cache.workdir() as workdir:
        (workdir / "clip.bin").write_text("half")
    assert not workdir.exists()
    assert cache.lookup(KEY) is None
    assert list(cache.keys()) == []


def test_an_entry_with_a_lost_or_cut_file_is_taken_as_absent_and_replaced(tmp_path):
    cache = LocalCache(tmp_path)
    commit(cache)
    cache.artifact_path(KEY, "clip.bin").write_text("cut")
    assert cache.lookup(KEY) is None
    commit(cache)
    assert cache.artifact_path(KEY, "clip.bin").read_text() == "pixels"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_file_is_not_given_out(tmp_path, how):
    cache = LocalCache(tmp_path)
    commit(cache)
    path = cache.artifact_path(KEY, "clip.bin")
    {"flipped": flip, "cut": lambda p: p.write_text("pix"), "gone": Path.unlink}[how](path)
    with pytest.raises(DamagedCacheError) as raised:
        cache.artifact_path(KEY, "clip.bin")
    assert (raised.value.key, raised.value.name) == (KEY, "clip.bin")
    assert cache.stage_of(KEY) == "faces"


def test_rows_that_were_altered_are_a_miss_and_said(tmp_path, capsys):
    cache = LocalCache(tmp_path)
    commit(cache)
    meta = cache.place(KEY, "meta.json")
    meta.write_text(meta.read_text().replace("kept", "kepz"))
    assert cache.lookup(KEY) is None
    assert f"{meta}: damaged in the item cache" in capsys.readouterr().err


def test_a_damaged_local_copy_of_a_remote_file_is_fetched_again(tmp_path):
    cache = RemoteCache(f"memory://{tmp_path.name}", LocalCopies(tmp_path / "scratch", 10**9))
    commit(cache)
    flip(cache.artifact_path(KEY, "clip.bin"))
    assert cache.artifact_path(KEY, "clip.bin").read_text() == "pixels"


def test_a_remote_object_that_is_gone_is_damage_and_its_entry_can_be_made_again(tmp_path):
    cache = RemoteCache(f"memory://{tmp_path.name}", LocalCopies(tmp_path / "scratch", 10**9))
    commit(cache)
    cache.fs.rm_file(f"{cache.root}/ab/{KEY}/clip.bin")
    with pytest.raises(DamagedCacheError):
        cache.artifact_path(KEY, "clip.bin")
    cache.forget(KEY)
    assert cache.lookup(KEY) is None
    commit(cache, text="healed")
    assert cache.artifact_path(KEY, "clip.bin").read_text() == "healed"


def test_a_key_does_not_depend_on_the_order_of_a_mapping():
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})


def test_a_remote_entry_without_meta_is_absent(tmp_path):
    cache = RemoteCache(f"memory://{tmp_path.name}", LocalCopies(tmp_path, 10**9))
    commit(cache)
    cache.fs.rm_file(f"{cache.root}/ab/{KEY}/meta.json")
    assert cache.lookup(KEY) is None


def test_a_full_disk_is_a_clear_error_and_no_entry(tmp_path, monkeypatch):
    from pipeline.errors import StorageError

    cache = LocalCache(tmp_path)

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StorageError, match="No space left"):
        commit(cache)
    assert cache.lookup(KEY) is None
