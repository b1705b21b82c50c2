"""Disk space and memory that a run of the diffusion model needs, from its sizes alone."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.params.training import LdmProfile
from trainers.frozen import registry as frozen
from trainers.loop.checkpoints import KEPT
from trainers.systems.latentsync.frozen_networks import stage_of, unet_config
from trainers.systems.latentsync.network import LatentSyncUNet

FLOAT_BYTES = 4
MOMENTS = 2
"""Numbers per trained weight that AdamW keeps."""
MODEL_FILES = 2
"""`unet.safetensors` and the published layout."""


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Numbers of weights."""

    weights: int
    trained: int


def network_size(profile: LdmProfile) -> NetworkSize:
    """Count the U-Net's weights without making them.

    Raises:
        ParamsError, WeightsError: as `unet_config`, or an autoencoder that cannot be loaded.
    """
    stage = stage_of(profile)
    channels = stage.unet.latent_channels
    if stage.sizes_follow_parts:
        channels = frozen.vae(profile.vae).network.channels
    with torch.device("meta"):
        unet = LatentSyncUNet(unet_config(profile, channels))
    unet.train_only(stage.trained)
    parameters = list(unet.parameters())
    return NetworkSize(
        sum(one.numel() for one in parameters),
        sum(one.numel() for one in parameters if one.requires_grad),
    )


def checkpoint_bytes(size: NetworkSize, profile: LdmProfile) -> int:
    """Return the size of one checkpoint: weights, moments, moving average if there is one."""
    average = profile.fit.ema_decay is not None
    return FLOAT_BYTES * (size.weights + (MOMENTS + average) * size.trained)


def run_bytes(size: NetworkSize, profile: LdmProfile) -> int:
    """Return what a run's folder holds at most: one checkpoint is written before one is removed."""
    copies = MODEL_FILES + (profile.fit.best_metric is not None)
    return (KEPT + 1) * checkpoint_bytes(size, profile) + copies * FLOAT_BYTES * size.weights


def missing_bytes(folder: Path, needed: int) -> int:
    """Return how much of the needed space a run's disk lacks, apart from what the run has there."""
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    place = next(path for path in (folder, *folder.parents) if path.exists())
    return max(0, needed - there - shutil.disk_usage(place).free)


def decoded_bytes(clips: int, median_frames: float, size_px: int) -> int:
    """Return the memory of so many decoded clips."""
    return round(clips * median_frames * 3 * size_px**2)
