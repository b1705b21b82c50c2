"""Latents of every frame, by the engine of the curation stages: cached, on Ray.

An item is one clip, and one clip's frames are in memory at a time. Its video is sent to the worker
with it; its cache key depends on the bytes of the video, the autoencoder, the size and the mask.

Shape suffixes: T frames, N pictures, P planes (layout.py), C channels, H and W pixels, h and w
latents (pixels / 8).
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engine.again import note_unfinished
from pipeline.engine.cache import open_cache
from pipeline.engine.command import execute
from pipeline.engine.device import torch_device
from pipeline.engine.outcome import Outcome
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.errors import DecodeError, ParamsError, WeightsError
from pipeline.params.curation import Params
from pipeline.shards.tar_stage import until_packed
from trainers.data.clip import decode_video
from trainers.data.index import index_shards
from trainers.data.pixel_range import signed_from_array
from trainers.data.shard_urls import curated_urls
from trainers.frozen import registry as frozen
from trainers.frozen.latent_vae import LatentVae
from trainers.sidecar.clip_members import ClipMember, clip_members, shard_digests
from trainers.sidecar.layout import NONE, TABLE
from trainers.sidecar.tars import kept_rows, with_offsets, write_sidecar
from trainers.systems.latentsync.latent_cache.layout import BELOW, FOLDER, ClipLatents
from trainers.talking_face.masks import keep_mask, mask_sha256

FRAMES_AT_ONCE = 16
"""Frames in the autoencoder at a time."""


class LatentsOfClips(Stage[ClipMember, ClipLatents]):
    """Encodes one clip; writes `<clip_id>.npy`, float16 (T, P, C, h, w)."""

    name: ClassVar[str] = "latents"
    version: ClassVar[str] = "1"
    resources = Resources(memory_bytes=4_000_000_000, gpus=0.5)
    """Not measured: activations of FRAMES_AT_ONCE pictures in the autoencoder."""

    def __init__(self, vae: str, size_px: int) -> None:
        """Take the autoencoder's name and the size of the pictures.

        Raises:
            ParamsError: no such autoencoder, or one whose latents are its pixels.
            WeightsError: its file is absent or altered.
        """
        if vae == frozen.PIXELS:
            raise ParamsError(
                f"params.yaml: features.latents: {vae} only rearranges pixels, there is nothing to "
                "save; set it to none"
            )
        frozen.require_known("latents", vae, "params.yaml: features.latents", also=(NONE,))
        self.vae_name, self.size_px = vae, size_px
        self.sha256 = frozen.vae_sha256(vae)

    def item_id(self, item: ClipMember) -> str:
        """Return the clip's id, or a name of a broken sample."""
        return item.item_id

    def identity(self, item: ClipMember) -> Mapping[str, Any]:
        """Return the clip's id, which is the name of the file, and the digest of its video."""
        if item.fault:
            return {"clip_id": item.clip_id, "shard": item.shard, "fault": item.fault}
        return {
            "clip_id": item.clip_id,
            "mp4": hashlib.sha256(item.content()).hexdigest(),
            "num_frames": item.num_frames,
        }

    def cache_params(self) -> Mapping[str, Any]:
        """Return autoencoder, size and digest of the mask."""
        return {"vae": self.vae_name, "size_px": self.size_px, "mask": mask_sha256(self.size_px)}

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the autoencoder's weights."""
        return self.sha256

    def deadline_s(self, item: ClipMember) -> float:
        """Return several times the duration of Stable Diffusion's encoder at 512 px on one core."""
        return 300 + 120 * item.num_frames

    def setup(self) -> None:
        """Load the autoencoder; one CPU thread, so that bytes do not depend on the cores."""
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self.vae = frozen.vae(self.vae_name).network.to(torch_device())

    def close(self) -> None:
        """Release the autoencoder and restore the number of threads."""
        del self.vae
        torch.set_num_threads(self.threads)

    def process(self, item: ClipMember, workdir: Path) -> Sequence[ClipLatents | Reject] | Reject:
        """Decode the video, encode it, round to float16.

        Raises:
            DecodeError: the sample is broken, or its video does not decode.
            WeightsError: a latent exceeds the range of float16.
        """
        if item.fault:
            raise DecodeError(item.fault)
        mp4 = item.content()
        latents_TPChw = encoded_clip(self.vae, decode_video(mp4, item.num_frames, self.size_px))
        if not np.isfinite(latents_TPChw).all():
            raise WeightsError(
                f"{self.vae_name}: a latent of {item.clip_id} does not fit float16; set "
                "features.latents to none in params.yaml"
            )
        path = workdir / f"{item.clip_id}.npy"
        np.save(path, latents_TPChw, allow_pickle=False)
        return [
            ClipLatents(
                clip_id=item.clip_id,
                shard=item.shard,
                num_steps=len(latents_TPChw),
                planes=latents_TPChw.shape[1],
                channels=latents_TPChw.shape[2],
                video_sha256=hashlib.sha256(mp4).hexdigest(),
                num_bytes=path.stat().st_size,
            )
        ]


def encoded_clip(vae: LatentVae, frames_TCHW: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Return the moments (T, P, C, h, w) of all frames, plain and masked, rounded."""
    device = next(vae.parameters(), torch.empty(0)).device
    keep_11HW = keep_mask(frames_TCHW.shape[-1]).to(device)
    parts = [
        _encoded(vae, signed_from_array(frames_TCHW[first : first + FRAMES_AT_ONCE]), keep_11HW)
        for first in range(0, len(frames_TCHW), FRAMES_AT_ONCE)
    ]
    return np.concatenate(parts)


@torch.no_grad()
def _encoded(vae: LatentVae, pictures_N3HW: Tensor, keep_11HW: Tensor) -> NDArray[np.float16]:
    pictures_N3HW = pictures_N3HW.to(keep_11HW)
    # cuDNN's convolutions use TF32 by default, which is three digits less exact.
    with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
        plain, masked = vae.moments(pictures_N3HW), vae.moments(pictures_N3HW * keep_11HW)
    planes = [plain[0], masked[0], plain[1], masked[1]]
    latents_NPChw = torch.stack([plane for plane in planes if plane is not None], dim=1)
    return np.asarray(latents_NPChw.half().cpu().numpy(), np.float16)


def make_latents(params: Params, shards: Path, features: Path) -> None:
    """Run the stage over all clips of `shards`; write table, tars and index.

    Args:
        features: data/features; all goes into its folder `latents`.

    Raises:
        ParamsError, WeightsError, ShardReadError, TooManyFailuresError: as `trainers.features`.
    """
    stage = LatentsOfClips(params.features.latents, params.features.latents_px)
    urls, out, cache = curated_urls(shards), features / FOLDER, open_cache()
    videos = clip_members(index_shards(urls, min_frames=0), shards, "mp4")
    finish = partial(with_offsets, row_type=ClipLatents)
    digests = shard_digests(urls, shards)

    def made() -> bool:
        outcomes = execute(stage, videos, out / TABLE, ClipLatents, params, finish)
        # The DVC stage is `features`: it is this name that `dvc repro` looks for.
        if unfinished := {one.item_id: one.reason for one in outcomes if one.transient}:
            note_unfinished("features", unfinished)
        facts = _facts(outcomes, stage)
        return write_sidecar(outcomes, ClipLatents, out, BELOW, facts, digests, cache)

    until_packed(BELOW, made)


def _facts(outcomes: Sequence[Outcome], stage: LatentsOfClips) -> dict[str, Any]:
    shapes = {(row.planes, row.channels) for row in kept_rows(outcomes, ClipLatents)}
    planes, channels = next(iter(shapes), (0, 0))
    return {
        "latents": stage.vae_name,
        "weights_sha256": dict(stage.sha256),
        "size_px": stage.size_px,
        "mask_sha256": mask_sha256(stage.size_px),
        "dtype": "float16",
        "planes": planes,
        "channels": channels,
    }
