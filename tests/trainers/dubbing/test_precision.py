import pytest
import torch

from tests.trainers.dubbing.scene import bundle
from trainers.dubbing.precision import precision_for


@pytest.mark.parametrize(("modern", "chosen"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_dubs_in_16_bits_and_a_cpu_in_32(monkeypatch, modern, chosen):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: modern)
    assert precision_for(torch.device("cpu")) == "fp32"
    assert precision_for(torch.device("cuda", 0)) == chosen


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_layers_of_a_model_are_cast_and_its_sound_encoder_is_not(precision, dtype):
    model = bundle()
    model.cast(precision)
    assert model.unet.net.conv_in.weight.dtype == dtype
    assert model.unet.net.conv_norm_out.weight.dtype == torch.float32
    assert {p.dtype for p in model.whisper.parameters()} <= {torch.float32}
