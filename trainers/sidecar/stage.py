"""A front end's features of every clip, by the engine of the curation stages: cached, on Ray.

An item is one clip. Its audio is sent to the worker with it, so that workers need no access to the
shards; its cache key depends on the bytes of the audio and on the encoder, not on the shard.

Shape suffixes: N samples, T steps, L layers, D width.
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
from pipeline.errors import DecodeError, WeightsError
from pipeline.media.clip_reader import read_audio_int16
from pipeline.params.curation import Params
from pipeline.shards.tar_stage import until_packed
from pipeline.tables.rows import FPS
from trainers.data.index import index_shards
from trainers.data.shard_urls import curated_urls
from trainers.sidecar.clip_members import ClipMember, clip_members, shard_digests
from trainers.sidecar.front_ends import WHISPER, EncoderIdentity, FrontEnd, SoundEncoder
from trainers.sidecar.layout import FEATURES, TABLE, ClipFeatures, sound_sha256
from trainers.sidecar.tars import kept_rows, with_offsets, write_sidecar


class Features(Stage[ClipMember, ClipFeatures]):
    """Encodes one clip; writes `<clip_id>.npy`, float16 (T, L, D). One stage per front end."""

    name: ClassVar[str] = FEATURES
    version: ClassVar[str] = "1"
    resources = Resources(memory_bytes=2_000_000_000, gpus=0.25)
    """Not measured: the encoder's weights and torch, which alone has half a gigabyte."""

    def __init__(
        self, source: str, identity: EncoderIdentity, front_end: FrontEnd = WHISPER
    ) -> None:
        self.source, self.encoder, self.front_end = source, identity, front_end
        self.name = front_end.stage  # type: ignore[misc] # one class, a name per front end

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
        return {self.front_end.name: self.encoder.name}

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the encoder's weights."""
        return self.encoder.sha256

    def own_weights(self) -> Mapping[str, Path]:
        """Return the encoder's file if the user named one; a folder must be on every machine."""
        path = Path(self.source.rpartition(":")[2])  # `av-hubert-9:FILE`
        return {path.name: path} if path.name in self.encoder.sha256 and path.is_file() else {}

    def deadline_s(self, item: ClipMember) -> float:
        """Return a hundred times the duration on one core."""
        return 300 + 30 * item.num_frames / FPS

    def setup(self) -> None:
        """Load the encoder; one CPU thread, so that bytes do not depend on the number of cores."""
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self.loaded = self.front_end.load(self.source).to(torch_device())

    def close(self) -> None:
        """Release the encoder and restore the number of threads."""
        del self.loaded
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
        features_TLD = encoded(self.loaded, audio_N, self.front_end.name)
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


def encoded(
    encoder: SoundEncoder, audio_N: NDArray[np.int16], key: str = WHISPER.name
) -> NDArray[np.float16]:
    """Return the features (T, L, D) of one clip, rounded.

    Args:
        key: of `features` in params.yaml, for the message.

    Raises:
        DecodeError: too few samples; Whisper needs 201.
        WeightsError: a feature exceeds the range of float16.
    """
    try:
        # cuDNN's convolutions use TF32 by default, which is three digits less exact.
        with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
            (features_TLD,) = encoder.features([audio_N])
    except ValueError as error:
        raise DecodeError(f"too short to be encoded: {error}") from error
    half_TLD = features_TLD.half()
    if not bool(half_TLD.isfinite().all()):
        raise WeightsError(
            f"{encoder.name}: a hidden state of {_largest(features_TLD):.0f} does not fit float16; "
            f"set features.{key} to none in params.yaml"
        )
    return np.asarray(half_TLD.cpu().numpy(), np.float16)


def make_features(
    params: Params, shards: Path, features: Path, front_end: FrontEnd, source: str
) -> None:
    """Run the stage over all clips of `shards`; write table, tars and index.

    Args:
        features: data/features; all goes into the front end's folder inside of it.
        source: names the encoder.

    Raises:
        ParamsError, WeightsError, ShardReadError, TooManyFailuresError: as `trainers.features`.
    """
    front_end.require_known(source, f"params.yaml: features.{front_end.name}")
    stage = Features(source, front_end.identity(source), front_end)
    urls, cache, out = curated_urls(shards), open_cache(), Path(front_end.inside(str(features)))
    sounds = clip_members(index_shards(urls, min_frames=0), shards, "flac")
    finish = partial(with_offsets, row_type=ClipFeatures)
    digests = shard_digests(urls, shards)

    def made() -> bool:
        outcomes = execute(stage, sounds, out / TABLE, ClipFeatures, params, finish)
        if front_end.folder:
            _note_for_dvc(outcomes)
        facts = _facts(outcomes, stage)
        return write_sidecar(outcomes, ClipFeatures, out, front_end.below, facts, digests, cache)

    until_packed(front_end.below, made)


def _note_for_dvc(outcomes: Sequence[Outcome]) -> None:
    """Name what is unfinished under `features`, the DVC stage that `dvc repro` looks for."""
    if unfinished := {one.item_id: one.reason for one in outcomes if one.transient}:
        note_unfinished(FEATURES, unfinished)


def _facts(outcomes: Sequence[Outcome], stage: Features) -> dict[str, Any]:
    shapes = {(row.layers, row.width) for row in kept_rows(outcomes, ClipFeatures)}
    layers, width = next(iter(shapes), (0, 0))
    front_end = stage.front_end
    rate = {"steps_per_second": front_end.steps_per_second} if front_end.folder else {}
    return {
        front_end.name: stage.encoder.name,
        **rate,
        "weights_sha256": dict(stage.encoder.sha256),
        "dtype": "float16",
        "layers": layers,
        "width": width,
    }


def _largest(features_TLD: Tensor) -> float:
    return float(features_TLD.abs().max())
