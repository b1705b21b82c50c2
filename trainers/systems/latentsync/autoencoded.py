"""Faces behind the diffusion model's autoencoder: no dub can show more than is left of them.

Shape suffixes: T frames, C colours, H and W pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.data.pixel_range import signed_from_array, to_bytes
from trainers.frozen.latent_vae import LatentVae
from trainers.systems.latentsync.conditions import decoded, encoded

Pixels = NDArray[np.uint8]

BATCH_FRAMES = 16


@torch.inference_mode()
def behind_autoencoder(vae: LatentVae, frames_TCHW: Pixels, device: torch.device) -> Pixels:
    """Return the frames encoded (the mean of the posterior) and decoded, (T, 3, H, W).

    Args:
        frames_TCHW: RGB; height and width are multiples of 8.
        device: of the autoencoder.
    """
    made = []
    for first in range(0, len(frames_TCHW), BATCH_FRAMES):
        part_TCHW = signed_from_array(frames_TCHW[first : first + BATCH_FRAMES])
        latents = encoded(vae, part_TCHW.transpose(0, 1)[None].to(device))
        made.append(to_bytes(decoded(vae, latents)[0].transpose(0, 1)).cpu().numpy())
    return np.concatenate(made)
