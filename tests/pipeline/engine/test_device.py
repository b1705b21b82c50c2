import pytest

from pipeline.engine.device import torch_device


def test_the_device_is_the_processor_where_there_is_no_gpu_or_it_is_wished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.delenv("LIPFORGE_GPU", raising=False)
    assert torch_device() == "cuda:0"
    monkeypatch.setenv("LIPFORGE_GPU", "1")
    assert torch_device() == "cuda:1"
    monkeypatch.setenv("LIPFORGE_GPU", "cpu")
    assert torch_device() == "cpu"
    monkeypatch.delenv("LIPFORGE_GPU")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert torch_device() == "cpu"
