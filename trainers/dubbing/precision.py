"""The precision in which a model dubs: chosen by the device."""

import torch

from trainers.talking_face.model import Precision


def precision_for(device: torch.device) -> Precision:
    """Return bf16 on a GPU that computes in it (since Ampere), fp16 on an older one, else fp32."""
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
