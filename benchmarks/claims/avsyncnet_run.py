"""One run of AVSyncNet, or of Wav2Lip's SyncNet in its place: training, then how steady it judges.

Shape suffixes: K windows of a clip (rows: sounds, columns: pictures), D embedding.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.claims.listening import means
from benchmarks.claims.runs import AVSYNCNET_WEIGHTS, SUPERVISING_SEED
from benchmarks.claims.syncnet_run import result
from benchmarks.claims.wav2lip_syncnet import NARROW, Wav2LipSyncNet
from pipeline.params.neighbours import AvSyncNetProfile
from trainers.data.clip import DecodedClip
from trainers.data.index import index_shards
from trainers.data.indexed_clips import decode_indexed
from trainers.data.pixel_range import to_signed
from trainers.data.shard_urls import shard_urls
from trainers.evaluation.speaking_films import drawn_clips
from trainers.loop.fit import fit
from trainers.processes.world import World
from trainers.systems.avsyncnet.configs import FRAMES
from trainers.systems.avsyncnet.files import save_safetensors
from trainers.systems.avsyncnet.items import MIN_FRAMES, training_source, validation_of
from trainers.systems.avsyncnet.network import AvSyncNet
from trainers.systems.avsyncnet.task import AvSyncNetTask
from trainers.systems.avsyncnet.training import network_config, new_task
from trainers.systems.stable_syncnet.configs import CONFIGS as STABLE_CONFIGS
from trainers.systems.stable_syncnet.items import DrawnAugmentation, WindowConfig
from trainers.systems.stable_syncnet.losses import masked_mean, matrix_accuracy, ranking_accuracy
from trainers.systems.stable_syncnet.pairs import even_windows, sync_labels

SAME_INPUTS = "tiny_5_frames"
"""A configuration of StableSyncNet whose pictures and sounds are those of AVSyncNet's `tiny`."""
SHIFTS_PX = (1, 2, 3, 4, 5, 6)
WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""Down, up, right, left."""
CUT = WindowConfig(frames=FRAMES)
SyncNet = AvSyncNet | Wav2LipSyncNet


def run(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Train what `run.json` says and return the result's numbers."""
    facts = order["facts"]
    profile = AvSyncNetProfile.model_validate(facts["profile"])
    learn, measure = (
        index_shards(shard_urls(order[split]), MIN_FRAMES) for split in ("train", "validation")
    )
    task, size = task_of(profile, facts["architecture"]), network_config(profile).resolution
    validation, training = validation_of(profile, size, measure, World()), folder / "training"
    outcome = fit(task, training_source(profile, size, learn), profile.fit, training, validation)
    if profile.fit.seed == SUPERVISING_SEED and not facts["architecture"]:
        save_safetensors(folder / AVSYNCNET_WEIGHTS, task.syncnet, {"steps": outcome.step})
    clips = held_out_clips(order["held_out"], size, facts["evaluation"]["clips"])
    found = means(
        [cosine_numbers(task.syncnet, one, facts["evaluation"]["windows"]) for one in clips]
    )
    metrics = {"loss": outcome.metrics["loss"], **with_shares(found)}
    return result(outcome.step, metrics, training, task.syncnet)


def task_of(profile: AvSyncNetProfile, architecture: str) -> AvSyncNetTask:
    """Return the task; another network is drawn from the same seed, right after ours."""
    task = new_task(profile)
    if architecture:
        narrowed = {"wav2lip": 1.0, "wav2lip_narrow": NARROW}[architecture]
        task.syncnet = Wav2LipSyncNet(STABLE_CONFIGS[SAME_INPUTS], narrowed)
    return task


def held_out_clips(folders: Sequence[str], size_px: int, most: int) -> list[DecodedClip]:
    """Return so many clips, drawn as `evaluate` draws them, or all.

    Raises:
        DecodeError: one does not decode.
    """
    index = index_shards(shard_urls(folders), MIN_FRAMES)
    return [decode_indexed(index, number, size_px) for number in drawn_clips(index, most, seed=0)]


@torch.no_grad()
def cosine_numbers(network: SyncNet, clip: DecodedClip, windows: int) -> dict[str, float]:
    """Return how a network judges evenly spaced windows of a clip; it is put in eval mode.

    Returns:
        `accuracy` and `ranked` of all pairs, as in training's validation; `margin`; over true pairs
        `spread_in_sync`, the deviation of the cosine, and `shift_<px>_change`, the mean size of its
        change when the picture is moved, and `shift_change`, the mean of these.
    """
    network.eval()
    starts = even_windows(clip.num_frames, windows, FRAMES)
    mel = torch.stack([CUT.sound(clip, int(one), DrawnAugmentation()) for one in starts])
    audio_KD = network.embed_audio(mel)
    pictures_KD = _embedded(network, clip, starts.tolist())
    cosine_KK = audio_KD @ pictures_KD.T
    labels_KK = torch.from_numpy(sync_labels(starts, FRAMES))
    true_K = cosine_KK.diagonal()
    changes = {
        f"shift_{px}_change": statistics.fmean(
            float((_moved(network, clip, starts.tolist(), audio_KD, px, way) - true_K).abs().mean())
            for way in WAYS
        )
        for px in SHIFTS_PX
    }
    return {
        **_judged(cosine_KK, labels_KK),
        "spread_in_sync": float(true_K.std(correction=0)),
        "shift_change": statistics.fmean(changes.values()),
        **changes,
    }


def with_shares(found: Mapping[str, float]) -> dict[str, float]:
    """Add what spread and change are of the margin: a network that says 0.5 of all has neither.

    Without a positive margin there is no share, and the claim no verdict.
    """
    if found["margin"] <= 0:
        return dict(found)
    shares = {"spread_share": found["spread_in_sync"], "shift_share": found["shift_change"]}
    return {**found, **{name: value / found["margin"] for name, value in shares.items()}}


def _judged(cosine_KK: Tensor, labels_KK: Tensor) -> dict[str, float]:
    cosine, labels = cosine_KK[None], labels_KK[None]
    margin = masked_mean(cosine, labels == 1) - masked_mean(cosine, labels == 0)
    return {
        "accuracy": float(matrix_accuracy(cosine, labels)),
        "ranked": float(ranking_accuracy(cosine, labels)),
        "margin": float(margin),
    }


def _moved(
    network: SyncNet,
    clip: DecodedClip,
    starts: Sequence[int],
    audio_KD: Tensor,
    px: int,
    way: tuple[int, int],
) -> Tensor:
    """Return the cosines (K,) of true pairs whose pictures are moved."""
    down, right = way
    drawn = replace(DrawnAugmentation(), down=px * down, right=px * right)
    return (_embedded(network, clip, starts, drawn) * audio_KD).sum(dim=1)


def _embedded(
    network: SyncNet,
    clip: DecodedClip,
    starts: Sequence[int],
    drawn: DrawnAugmentation | None = None,
) -> Tensor:
    drawn = drawn or DrawnAugmentation()
    pictures = torch.stack([CUT.picture(clip, start, drawn) for start in starts])
    return network.embed_visual(to_signed(pictures))
