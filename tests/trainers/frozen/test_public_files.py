"""Reading other people's weights: as data, and with a message that names the file."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.errors import WeightsError
from pipeline.weights.files import weights_file_sha256
from pipeline.weights.safetensors_files import read_safetensors
from trainers.frozen.public_files import fill, read_checkpoint

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


class Rude:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run by the file",)


@pytest.mark.parametrize("wrapper", [None, "module", "model", "state_dict"])
def test_weights_are_found_bare_or_wrapped(tmp_path: Path, wrapper: str | None) -> None:
    torch.save({wrapper: STATE, "epoch": 3} if wrapper else STATE, tmp_path / "a.pth")
    assert torch.equal(read_checkpoint(tmp_path / "a.pth")["weight"], STATE["weight"])


def test_nothing_a_file_says_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"module": STATE, "args": Rude()}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth"):
        read_checkpoint(tmp_path / "a.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("read", [read_checkpoint, read_safetensors])
@pytest.mark.parametrize("content", [None, b"", b"not weights" * 9, b"hello"])
def test_a_broken_or_absent_file_is_named(
    tmp_path: Path, read: object, content: bytes | None
) -> None:
    path = tmp_path / "a.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pth"):
        read(path)


def test_a_file_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        read_checkpoint(tmp_path / "a.pth")


def test_weights_of_another_network_are_refused_by_file() -> None:
    with pytest.raises(WeightsError, match=r"b\.pth.*size mismatch"):
        fill(nn.Linear(2, 2), STATE, Path("b.pth"))


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert weights_file_sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(WeightsError, match="cannot be read"):
        weights_file_sha256(tmp_path / "b")
