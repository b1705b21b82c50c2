"""The precision in which a model dubs: chosen by the device, its weights cast once."""

from typing import Literal

import torch

from trainers.loop.precision import DTYPES, cast_layers
from trainers.systems.latentsync.bundle import LdmBundle

Precision = Literal["fp32", "bf16", "fp16"]


def precision_for(device: torch.device) -> Precision:
    """Return bf16 on a GPU that computes in it (since Ampere), fp16 on an older one, else fp32."""
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def cast_bundle(bundle: LdmBundle, precision: Precision) -> None:
    """Cast U-Net and autoencoder, in place, for dubbing in this precision; no answer changes."""
    if precision in DTYPES:
        for network in (bundle.unet, bundle.vae.network):
            cast_layers(network, DTYPES[precision])
