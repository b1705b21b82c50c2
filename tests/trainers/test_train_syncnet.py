"""The DVC stage `train_syncnet`."""

import stat

import pytest

from trainers import train_syncnet


def test_what_is_handed_on_is_whole_and_everybody_may_read_it(tmp_path, monkeypatch):
    monkeypatch.setattr(train_syncnet, "OUT", tmp_path / "out")
    (tmp_path / "a").write_bytes(b"weights")
    (tmp_path / "a").chmod(0o600)  # as safetensors leaves its files
    train_syncnet._copy_to_outputs(tmp_path, "a", "absent")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert stat.S_IMODE((tmp_path / "out" / "a").stat().st_mode) & stat.S_IRGRP

    def full(_source, part):
        part.write_bytes(b"wei")
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(KeyboardInterrupt):
        train_syncnet._copy_to_outputs(tmp_path, "a")
    assert (tmp_path / "out" / "a").read_bytes() == b"weights"
