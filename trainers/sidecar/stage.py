"""Whisper features of every clip, by the engine of the curation stages: cached, on Ray.

An item is one clip. Its audio is sent to the worker with it, so that workers need no access to the
shards; its cache key depends on the bytes of the audio and on the encoder, not on the shard.

Shape suffixes: N samples, T steps of 20 ms, L layers + 1, D width.
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

from pipeline.engine.cache import open_cache
from pipeline.engine.command import execute
from pipeline.engine.device import torch_device
from pipeline.engine.outcome import Outcome
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.errors import DecodeError, WeightsError
from pipeline.media.clip_reader import read_audio_int16
from pipeline.params.curation import Params
from pipeline.shards.tar_stage import until_packed
from pipeline.tables.rows import FPS
from trainers.data.index import index_shards
from trainers.data.shard_urls import curated_urls
from trainers.frozen.audio_encoders import (
    AudioEncoder,
    audio_identity,
    load_audio_encoder,
    require_known_encoder,
)
from trainers.frozen.whisper_files import WhisperIdentity
from trainers.sidecar.clip_members import ClipMember, clip_members, shard_digests
from trainers.sidecar.layout import FEATURES, NONE, TABLE, ClipFeatures, sound_sha256
from trainers.sidecar.tars import kept_rows, with_offsets, write_sidecar


class Features(Stage[ClipMember, ClipFeatures]):
    """Encodes one clip; writes `<clip_id>.npy`, float16 (T, L, D)."""

    name: ClassVar[str] = "features"
    version: ClassVar[str] = "1"
    resources = Resources(memory_bytes=2_000_000_000, gpus=0.25)
    """Not measured: the encoder's weights and torch, which alone has half a gigabyte."""

    def __init__(self, source: str, identity: WhisperIdentity) -> None:
        self.source, self.encoder = source, identity

    def item_id(self, item: ClipMember) -> str:
        """Return the clip's id, or a name of a broken sample."""
        return item.item_id

    def identity(self, item: ClipMember) -> Mapping[str, Any]:
        """Return the clip's id, which is the name of the file, and the digest of its audio."""
        if item.fault:
            return {"clip_id": item.clip_id, "shard": item.shard, "fault": item.fault}
        return {"clip_id": item.clip_id, "flac": hashlib.sha256(item.content()).hexdigest()}

    def cache_params(self) -> Mapping[str, Any]:
        """Return the encoder's name, without path and device."""
        return {"whisper": self.encoder.name}

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the encoder's weights."""
        return self.encoder.sha256

    def own_weights(self) -> Mapping[str, Path]:
        """Return the encoder's file if the user named one; a folder must be on every machine."""
        path = Path(self.source)
        return {path.name: path} if path.name in self.encoder.sha256 and path.is_file() else {}

    def deadline_s(self, item: ClipMember) -> float:
        """Return a hundred times the duration on one core."""
        return 300 + 30 * item.num_frames / FPS

    def setup(self) -> None:
        """Load the encoder; one CPU thread, so that bytes do not depend on the number of cores."""
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self.whisper = load_audio_encoder(self.source).to(torch_device())

    def close(self) -> None:
        """Release the encoder and restore the number of threads."""
        del self.whisper
        torch.set_num_threads(self.threads)

    def process(self, item: ClipMember, workdir: Path) -> Sequence[ClipFeatures | Reject] | Reject:
        """Decode the audio, encode it, round to float16.

        Raises:
            DecodeError: the sample is broken, its audio does not decode or is too short.
            WeightsError: a feature exceeds the range of float16.
        """
        if item.fault:
            raise DecodeError(item.fault)
        audio_N = read_audio_int16(item.content())
        features_TLD = encoded(self.whisper, audio_N)
        path = workdir / f"{item.clip_id}.npy"
        np.save(path, features_TLD, allow_pickle=False)
        return [
            ClipFeatures(
                clip_id=item.clip_id,
                shard=item.shard,
                num_steps=len(features_TLD),
                layers=features_TLD.shape[1],
                width=features_TLD.shape[2],
                sound_sha256=sound_sha256(audio_N),
                num_bytes=path.stat().st_size,
            )
        ]


def encoded(whisper: AudioEncoder, audio_N: NDArray[np.int16]) -> NDArray[np.float16]:
    """Return the features (T, L, D) of one clip, rounded.

    Raises:
        DecodeError: fewer than 201 samples.
        WeightsError: a feature exceeds the range of float16.
    """
    try:
        # cuDNN's convolutions use TF32 by default, which is three digits less exact.
        with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
            (features_TLD,) = whisper.features([audio_N])
    except ValueError as error:
        raise DecodeError(f"too short to be encoded: {error}") from error
    half_TLD = features_TLD.half()
    if not bool(half_TLD.isfinite().all()):
        raise WeightsError(
            f"{whisper.name}: a hidden state of {_largest(features_TLD):.0f} does not fit float16; "
            "set features.whisper to none in params.yaml"
        )
    return np.asarray(half_TLD.cpu().numpy(), np.float16)


def make_features(params: Params, shards: Path, out: Path) -> None:
    """Run the stage over all clips of `shards`; write table, tars and index into `out`.

    Raises:
        ParamsError, WeightsError, ShardReadError, TooManyFailuresError: as `trainers.features`.
    """
    source = params.features.whisper
    require_known_encoder(source, "params.yaml: features.whisper", also=(NONE,))
    stage = Features(source, audio_identity(source))
    urls, cache = curated_urls(shards), open_cache()
    sounds = clip_members(index_shards(urls, min_frames=0), shards, "flac")
    finish = partial(with_offsets, row_type=ClipFeatures)
    digests = shard_digests(urls, shards)

    def made() -> bool:
        outcomes = execute(stage, sounds, out / TABLE, ClipFeatures, params, finish)
        facts = _facts(outcomes, stage.encoder)
        return write_sidecar(outcomes, ClipFeatures, out, FEATURES, facts, digests, cache)

    until_packed(FEATURES, made)


def _facts(outcomes: Sequence[Outcome], whisper: WhisperIdentity) -> dict[str, Any]:
    shapes = {(row.layers, row.width) for row in kept_rows(outcomes, ClipFeatures)}
    layers, width = next(iter(shapes), (0, 0))
    return {
        "whisper": whisper.name,
        "weights_sha256": dict(whisper.sha256),
        "dtype": "float16",
        "layers": layers,
        "width": width,
    }


def _largest(features_TLD: Tensor) -> float:
    return float(features_TLD.abs().max())
