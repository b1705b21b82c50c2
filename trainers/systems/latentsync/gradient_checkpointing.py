"""Gradient checkpointing of LatentSync's U-Net: activations are recomputed.

diffusers checkpoints only the residual blocks of `UNetMotionModel`; attention and motion layers
hold most of the memory, so they are done here as well. A layer changes its class, not its name or
its parameters: checkpoints, EMA copies and optimizer states do not notice.
"""

from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel
from torch import nn
from torch.utils.checkpoint import checkpoint

from trainers.systems.latentsync.group_norms import ClipLength


class _Recomputed(nn.Module):
    length: ClipLength

    def forward(self, *inputs: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return super().forward(*inputs, **options)
        frames = self.length.frames  # by the time of the backward pass it may be another clip's

        def run(*inputs: Any, **options: Any) -> Any:
            with self.length.of(frames):
                return super(_Recomputed, self).forward(*inputs, **options)

        # no layer draws random numbers, so their state need not be kept
        return checkpoint(run, *inputs, use_reentrant=False, preserve_rng_state=False, **options)


_RECOMPUTED: dict[type[nn.Module], type[nn.Module]] = {
    kind: type(f"Recomputed{kind.__name__}", (_Recomputed, kind), {})
    for kind in (ResnetBlock2D, Transformer2DModel, AnimateDiffTransformer3D)
}


def recompute_layers(model: UNetMotionModel, length: ClipLength) -> None:
    """Let every residual, attention and motion layer keep only its input until the backward pass.

    Output and gradients stay the same. Doing it twice is doing it once.
    """
    for module in model.modules():
        if type(module) in _RECOMPUTED:
            module.__class__ = _RECOMPUTED[type(module)]
        if isinstance(module, _Recomputed):
            module.length = length
