"""Lip-sync scores: of the project's judge, and of the trained StableSyncNet.

Only the SyncNet judge gives LSE-C and LSE-D. The scores of the landmark judge are not comparable
with them and have other names.

Shape suffixes: T frames, F frames of a window, B windows, L landmarks, C coordinates or colours,
H and W pixels, N samples, S mel columns, M mel bands.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.judge.choice import Choice
from pipeline.judge.curve import JudgeResult
from pipeline.judge.syncnet.crops import detector_boxes, render_crops
from trainers.audio.mel import mel_window
from trainers.data.pixel_range import signed_from_array
from trainers.evaluation.landmark_distance import Floats, Pixels, as_canvas, with_gaps_filled
from trainers.systems.stable_syncnet.losses import cosine
from trainers.systems.stable_syncnet.network import StableSyncNet
from trainers.systems.stable_syncnet.sync_view import sync_view

Samples = NDArray[np.int16]

STRIDE_FRAMES = 5
"""Distance of the windows scored by StableSyncNet."""
BATCH_WINDOWS = 8
NOT_MEASURED = (
    "not measured: LSE-C and LSE-D are SyncNet's, and the landmark judge scored; "
    "set sync.judge: syncnet and fetch its weights"
)


@dataclass(frozen=True, slots=True)
class AlignedFaceJudge:
    """The judge of `params.yaml`, applied to aligned faces."""

    choice: Choice
    judge: Any
    """LandmarkJudge or SyncNetJudge."""
    schema: str
    """Landmark schema."""

    def scores(
        self, frames_TCHW: Pixels, landmarks_TLC: Floats, audio_N: Samples
    ) -> dict[str, float]:
        """Return the judge's scores of one clip, with the judge in their names.

        Landmarks are in pixels of the canvas (landmark_distance.py). Empty if there is no face, or
        too few frames.
        """
        try:
            found = self._judged(frames_TCHW, with_gaps_filled(landmarks_TLC), audio_N)
        except ValueError:
            return {}
        return scores_by_name(self.choice.judge, found)

    def facts(self) -> dict[str, str]:
        """Return name, mode and digest of the judge, for the metrics."""
        facts = {"name": self.choice.judge, "mode": self.choice.mode, "sha256": self.choice.sha256}
        if self.choice.fallback:
            facts["instead_of_syncnet_because"] = self.choice.fallback
        if self.choice.judge == "landmark":
            facts["lse"] = NOT_MEASURED
        else:
            facts["looked_at"] = (
                "aligned faces on their canvas, not the video they were pasted into"
            )
        return facts

    def _judged(self, frames_TCHW: Pixels, landmarks_TLC: Floats, audio_N: Samples) -> JudgeResult:
        if self.choice.judge == "landmark":
            of_landmarks: JudgeResult = self.judge.score(landmarks_TLC, audio_N)
            return of_landmarks
        boxes = np.concatenate([landmarks_TLC.min(axis=1), landmarks_TLC.max(axis=1)], axis=1)
        wanted = detector_boxes(boxes[:, [0, 1, 3, 4]], self.schema)
        crops = render_crops(map(as_canvas, frames_TCHW), wanted)
        of_crops: JudgeResult = self.judge.score(crops, audio_N, mode=self.choice.mode)
        return of_crops


def scores_by_name(judge: str, found: JudgeResult) -> dict[str, float]:
    """Return the scores by name; each judge has its own names."""
    if judge == "syncnet":
        return {
            "lse_c": found.confidence,
            "lse_d": found.min_distance,
            "syncnet_abs_offset_frames": float(abs(found.offset_frames)),
        }
    assert found.probability is not None, "the bundled judge is calibrated"
    return {
        "landmark_probability": found.probability,
        "landmark_confidence": found.confidence,
        "landmark_min_distance": found.min_distance,
        "landmark_abs_offset_frames": float(abs(found.offset_frames)),
        "landmark_offset_within_1": float(abs(found.offset_frames) <= 1),
    }


def score_disentanglement(
    judged: Callable[[str, str], dict[str, float]], versions: Collection[str]
) -> dict[str, float]:
    """Return LSD-AR and LSD-CR of a clip: how much its LSE depends on which sound drives it.

    Half of |difference of LSE-C| + |difference of LSE-D| between the dub with own and that with
    foreign sound, each judged with the sound that drove it; near 0 is good, if LSE itself is. AR:
    with reference pictures from elsewhere; CR: with the faces themselves as reference.

    Args:
        judged: version, sound -> scores of the SyncNet judge.
        versions: dubs that exist.
    """
    found: dict[str, float] = {}
    for name, suffix in (("lsd_ar", ""), ("lsd_cr", "_itself")):
        pair = [f"{sound}{suffix}" for sound in ("own", "foreign")]
        if all(one in versions for one in pair):
            own, foreign = (judged(one, one.removesuffix(suffix)) for one in pair)
            if "lse_c" in own and "lse_c" in foreign:
                apart = (abs(own[key] - foreign[key]) for key in ("lse_c", "lse_d"))
                found[name] = sum(apart) / 2
    return found


@torch.inference_mode()
def stable_syncnet_cosine(
    network: StableSyncNet, frames_TCHW: Pixels, audio_N: Samples, mel: Any = "exact"
) -> float:
    """Return the mean cosine over windows every 5 frames; NaN if the clip is shorter than one.

    Args:
        network: of a pixel configuration, in eval mode.
        mel: `exact` or `compat`, as in its training.
    """
    config, device = network.config, next(network.parameters()).device
    starts = range(0, len(frames_TCHW) - config.num_frames + 1, STRIDE_FRAMES)
    found: list[Tensor] = []
    for at in range(0, len(starts), BATCH_WINDOWS):
        batch = [
            _window(network, frames_TCHW, audio_N, f, mel) for f in starts[at : at + BATCH_WINDOWS]
        ]
        visual, mels = (torch.stack(part).to(device) for part in zip(*batch, strict=True))
        found.append(cosine(*network(visual, mels)).cpu())
    return torch.cat(found).double().mean().item() if found else float("nan")


def _window(
    network: StableSyncNet, frames_TCHW: Pixels, audio_N: Samples, start_frame: int, mel: Any
) -> tuple[Tensor, Tensor]:
    config = network.config
    frames = frames_TCHW[start_frame : start_frame + config.num_frames]
    video_13FHW = signed_from_array(frames).transpose(0, 1)[None]
    visual = sync_view(video_13FHW, config.resolution, antialias=True)[0]
    mel_MS = mel_window(audio_N, start_frame, config.num_frames, mel)
    return visual, torch.from_numpy(mel_MS).float()[None]
