"""One guard for every safetensors file: float32 tensors, and the JSON object of our own files."""

import pytest
import torch
from safetensors.torch import save, save_file

from pipeline.errors import WeightsError
from pipeline.weights.safetensors_files import read_metadata, read_safetensors, write_safetensors

STATE = {"w": torch.arange(5.0)}


def test_tensors_are_float32_from_files_and_from_bytes(tmp_path):
    half = {"w": STATE["w"].half()}
    save_file(half, tmp_path / "a.safetensors")
    for source in (tmp_path / "a.safetensors", save(half)):
        state = read_safetensors(source)
        assert state["w"].dtype == torch.float32
        assert torch.equal(state["w"], STATE["w"])


@pytest.mark.parametrize("content", [b"", b"hello", b"not weights" * 9, save(STATE)[:-1]])
def test_broken_bytes_are_an_error_that_names_no_file(content):
    with pytest.raises(WeightsError, match=r"^cannot be read as safetensors: "):
        read_safetensors(content)


def test_an_absent_or_cut_file_is_named(tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(save(STATE)[:-1])
    for name in ("absent.safetensors", "cut.safetensors"):
        with pytest.raises(WeightsError, match=rf"{name}: cannot be read as safetensors: "):
            read_safetensors(tmp_path / name)


def test_the_same_tensors_and_metadata_give_the_same_bytes_and_come_back(tmp_path):
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    write_safetensors(a, STATE, {"model": "m", "steps": [1, 2]})
    write_safetensors(b, STATE, {"steps": [1, 2], "model": "m"})
    assert a.read_bytes() == b.read_bytes()
    assert read_metadata(a, "m") == {"model": "m", "steps": [1, 2]}
    assert torch.equal(read_safetensors(a)["w"], STATE["w"])


def test_metadata_of_another_model_or_of_a_foreign_file_are_refused(tmp_path):
    ours, foreign = tmp_path / "ours.safetensors", tmp_path / "foreign.safetensors"
    write_safetensors(ours, STATE, {"model": "m"})
    save_file(STATE, foreign)
    with pytest.raises(WeightsError, match=r"ours\.safetensors: holds 'm', not 'n'"):
        read_metadata(ours, "n")
    with pytest.raises(WeightsError, match=r"foreign\.safetensors: not a safetensors file"):
        read_metadata(foreign, "m")
