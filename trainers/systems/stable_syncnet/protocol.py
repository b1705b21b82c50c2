"""Accuracy of a StableSyncNet by the published protocol, on held-out clips.

Pairs are drawn from the clips, every other one in sync, the rest with a picture of another moment
of the same clip. A pair is right if its cosine is above 0.5 and it is in sync, or neither.
The published figure is that of 2048 pairs with `compat` negatives; the default leaves out
negatives that overlap with the right window. Beside it stands the area under the ROC curve, which
no threshold and no calibration can change.

Shape suffixes: N pairs, H and W pixels.
Source: evaluation of LatentSync (Li et al. 2024) as its reports describe it; area under the curve
by ranks (Mann and Whitney 1947).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.roc import area_under_curve
from trainers.audio.mel import WindowStart
from trainers.audio.mel_windows import PrepareMel
from trainers.data.clip import DecodedClip
from trainers.data.index import ShardIndex
from trainers.data.indexed_clips import decode_indexed
from trainers.data.pixel_range import to_signed
from trainers.errors import TrainingDataError
from trainers.systems.stable_syncnet.items import DrawnAugmentation, WindowConfig
from trainers.systems.stable_syncnet.losses import IN_SYNC_ABOVE, cosine, cosine_bce
from trainers.systems.stable_syncnet.network import StableSyncNet
from trainers.systems.stable_syncnet.pairs import Negatives, SyncPair, draw_pair

BATCH = 32
"""Pairs embedded at once."""


@dataclass(frozen=True, slots=True)
class _Scores:
    """Cosines (N,) and labels (N,) of one clip's pairs."""

    clip_id: str
    cosines: NDArray[np.float32]
    in_sync: NDArray[np.bool_]

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray((self.cosines > IN_SYNC_ABOVE) == self.in_sync)


@torch.no_grad()
def evaluate_protocol(
    network: StableSyncNet,
    index: ShardIndex,
    pairs: int,
    seed: int,
    *,
    negatives: Negatives = "non_overlapping",
    mel: WindowStart = "exact",
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Return `accuracy`, `auc`, `loss` and mean cosines over `pairs` pairs, and `by_clip`.

    Every clip gives as many pairs as any other, up to one. Deterministic in its arguments.

    Args:
        network: for pixels, not for latents; left in eval mode.
        index: clips of at least 2 windows' length.

    Raises:
        TrainingDataError: the index holds no clip.
        ValueError: fewer than 2 pairs.
        MediaError: a clip does not decode; without it the figure would be another one.
    """
    if not len(index):
        raise TrainingDataError("no clip is long enough to measure StableSyncNet on")
    if pairs < 2:
        raise ValueError(f"{pairs} pairs; a pair in sync and one out of sync are needed")
    window_config = WindowConfig(frames=network.config.num_frames, mel=mel, negatives=negatives)
    network.to(device or torch.device("cpu")).eval()
    scores = list(_scores(network, index, pairs, seed, window_config))
    return {**_summary(scores), "by_clip": {one.clip_id: _of_clip(one) for one in scores}}


def _scores(
    network: StableSyncNet, index: ShardIndex, pairs: int, seed: int, window_config: WindowConfig
) -> Iterator[_Scores]:
    for number in range(min(len(index), pairs)):
        count = pairs // len(index) + (number < pairs % len(index))
        rng = np.random.default_rng([seed, number])
        clip = decode_indexed(index, number, network.config.resolution)
        clip.prepared = PrepareMel(window_config.mel)(clip)
        shares = [float((number + place) % 2) for place in range(count)]
        drawn = [
            draw_pair(rng, clip.num_frames, window_config.frames, window_config.negatives, share)
            for share in shares
        ]
        cosines = np.concatenate(
            [
                _cosines(network, clip, drawn[i : i + BATCH], window_config)
                for i in range(0, count, BATCH)
            ]
        )
        labels = np.array([pair.in_sync for pair in drawn])
        yield _Scores(str(index.clip_ids[number]), cosines, labels)


def _cosines(
    network: StableSyncNet, clip: DecodedClip, pairs: list[SyncPair], window_config: WindowConfig
) -> NDArray[np.float32]:
    device = network.visual_encoder.conv_in.weight.device
    visual = [
        window_config.picture(clip, pair.visual_start_frame, DrawnAugmentation()) for pair in pairs
    ]
    mel = [window_config.sound(clip, pair.audio_start_frame, DrawnAugmentation()) for pair in pairs]
    pictures = to_signed(torch.stack(visual).to(device))
    found = cosine(*network(pictures, torch.stack(mel).to(device)))
    return np.asarray(found.float().cpu().numpy())


def _summary(scores: list[_Scores]) -> dict[str, Any]:
    cosines = np.concatenate([one.cosines for one in scores])
    in_sync = np.concatenate([one.in_sync for one in scores])
    loss = cosine_bce(torch.from_numpy(cosines), torch.from_numpy(in_sync), clamp=True)
    return {
        "accuracy": float(np.concatenate([one.right for one in scores]).mean()),
        "auc": area_under_curve(cosines[in_sync], cosines[~in_sync]),
        "loss": float(loss.mean()),
        "cosine_in_sync": float(cosines[in_sync].mean()),
        "cosine_out_of_sync": float(cosines[~in_sync].mean()),
        "pairs": len(cosines),
        "pairs_in_sync": int(in_sync.sum()),
        "clips": len(scores),
    }


def _of_clip(scores: _Scores) -> dict[str, Any]:
    return {"pairs": len(scores.cosines), "accuracy": float(scores.right.mean())}
