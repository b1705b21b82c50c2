"""One guard for every file of torch.save: data only, mapped, and no advice to switch it off."""

import os
from pathlib import Path

import pytest
import torch

from pipeline.errors import WeightsError
from pipeline.weights.torch_files import read_torch


class Rude:
    """Runs code where it is unpickled as usual."""

    def __reduce__(self):
        return print, ("ran",)


def saved(path, content, new_format=True):
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    return path


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("new_format", [True, False])
def test_both_formats_are_read_from_files_and_from_bytes(tmp_path, new_format):
    path = saved(tmp_path / "a.pt", {"step": 3, "w": torch.arange(5.0)}, new_format)
    for source in (path, path.read_bytes()):
        content = read_torch(source)
        assert content["step"] == 3
        assert content["w"].tolist() == [0, 1, 2, 3, 4]


def test_a_large_file_takes_memory_only_as_it_is_read_and_can_be_trained_on(tmp_path):
    size = 64 * 2**20
    path = saved(tmp_path / "a.pt", {"used": torch.ones(10), "large": torch.ones(size // 4)})
    before = resident_bytes()
    content = read_torch(path)
    assert resident_bytes() - before < size / 4
    content["used"] += 1
    assert read_torch(path)["used"].sum() == 10, "the file itself stays as it is"


@pytest.mark.parametrize("new_format", [True, False])
def test_nothing_in_a_file_is_run_and_nobody_is_told_how_to(tmp_path, new_format, capsys):
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1), "x": Rude()}, new_format)
    with pytest.raises(WeightsError, match=r"a\.pt: .* could run code") as refusal:
        read_torch(path)
    assert capsys.readouterr().out == ""
    assert "weights_only" not in str(refusal.value)
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not weights" * 99, b"\x80\x02}q"])
def test_damage_is_the_files_fault_and_named(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pt: cannot be read as a PyTorch checkpoint"):
        read_torch(tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"^cannot be read as a PyTorch checkpoint"):
        read_torch(content)


def test_a_cut_off_file_is_damaged_and_an_absent_one_absent(tmp_path):
    path = saved(tmp_path / "a.pt", {"w": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(WeightsError, match="cannot be read as a PyTorch checkpoint"):
        read_torch(path)
    for name in ("absent.pt", "."):
        with pytest.raises(WeightsError, match="cannot be read: "):
            read_torch(tmp_path / name)
