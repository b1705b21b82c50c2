"""Reading of the stored latents of clips: by clip id, checked by the digest of the video.

Shape suffixes: T frames, F frames of a window, P planes (layout.py), C channels, h and w latents.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.data.clip import DecodedClip
from trainers.data.window_items import Prepare
from trainers.sidecar.arrays import SidecarArrays
from trainers.systems.latentsync.latent_cache.layout import BELOW, PICTURES, PLAIN

KEY = " (params.yaml, features.latents)"


@dataclass(frozen=True, slots=True)
class SpeechAndLatents:
    """What `WithLatents` puts into `DecodedClip.prepared`."""

    speech: Any
    """Result of the other `prepare`: the features of the audio."""
    latents: Tensor
    """(T, P, C, h, w) float16."""


@dataclass(frozen=True, slots=True)
class WithLatents:
    """A loader's `prepare` that adds the latents to what another one makes."""

    speech: Prepare
    latents: "SidecarLatents"

    def __call__(self, clip: DecodedClip) -> SpeechAndLatents:
        """Prepare both.

        Raises:
            TrainingDataError, DecodeError, ShardReadError: as `SidecarLatents`.
        """
        return SpeechAndLatents(self.speech(clip), self.latents(clip))


def window_latents(
    prepared: SpeechAndLatents, start: int, reference_start: int, frames: int
) -> dict[str, Tensor]:
    """Return `latents` (F, P, C, h, w) of a window, and the plain ones of its reference.

    `reference_latents` is (F, P / 2, C, h, w): mean and, if there is one, deviation.
    """
    reference = prepared.latents[reference_start : reference_start + frames]
    return {
        "latents": prepared.latents[start : start + frames],
        "reference_latents": reference[:, PLAIN::PICTURES],
    }


class SidecarLatents:
    """Reads the latents of clips; found by id, independent of the path of their shard.

    The clip's video must be that which was encoded. Picklable and thread-safe.
    """

    def __init__(self, folder: str) -> None:
        """Read the index.

        Args:
            folder: data/features/latents, or a copy at any URL that fsspec knows.

        Raises:
            TrainingDataError: there is no index.
            ShardReadError: the storage refuses.
        """
        self.folder = folder
        self._files = SidecarArrays(folder, BELOW, "latents", "another video", KEY)
        facts = self._files.index()
        self.name: str = facts["latents"]
        self.sha256: dict[str, str] = facts["weights_sha256"]
        self.size_px: int = facts["size_px"]
        self.mask_sha256: str = facts["mask_sha256"]
        self._entries = self._files.entries("video_sha256")

    def __call__(self, clip: DecodedClip) -> Tensor:
        """Return the clip's latents (T, P, C, h, w), float16.

        Raises:
            TrainingDataError: there are none of the clip, or they are of another video.
            DecodeError: the stage could not use the clip's video.
            ShardReadError: the storage refuses.
        """
        entry = self._files.entry_of(self._entries, clip, clip.video_sha256)
        latents = torch.from_numpy(self._files.array(entry, clip.clip_id))
        assert len(latents) == clip.num_frames, (clip.clip_id, latents.shape)
        return latents
