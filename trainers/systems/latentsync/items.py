"""Items of the diffusion model: windows of clips with mask, reference and audio features.

Shape suffixes: F frames of a window, H and W pixels, T audio tokens per frame, D their width,
S mel columns.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.params.training import LdmProfile
from trainers.audio.mel import WindowStart, mel_window
from trainers.data.augment import Augmentation
from trainers.data.clip import DecodedClip
from trainers.data.index import ShardIndex
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_batches import ShardBatches
from trainers.data.window_items import Prepare, Reference, WindowItem
from trainers.frozen.audio_encoders import Windows, windows_of
from trainers.frozen.whisper import whisper_windows
from trainers.loop.task import Batch
from trainers.systems.latentsync.latent_cache.reader import SpeechAndLatents, window_latents


@dataclass(frozen=True, slots=True)
class SpeakingItem:
    """Makes one item: a window, a reference window, usually without a common frame, and the sound.

    The loader's `prepare` must have put the audio encoder's features into `DecodedClip.prepared`.
    Items: those of `WindowItem` with a reference, `tokens` (F, T, D) float32 and, if wanted, `mel`
    (1, 80, S) float32, StableSyncNet's audio input. If `prepare` was `WithLatents`, also what
    `window_latents` returns.
    """

    frames: int = 16
    mel: WindowStart | None = "exact"
    """How the mel window begins (trainers/audio/mel.py); None: no mel."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    reference: Reference = "apart"
    windows: Windows = whisper_windows
    """Cuts the features of a clip into the tokens of frames."""

    @property
    def min_frames(self) -> int:
        """Frames that a clip needs so that every window has a reference: 47 for 16."""
        return self._window.min_frames

    def __call__(self, clip: DecodedClip, start: int, rng: np.random.Generator) -> dict[str, Any]:
        """Cut and augment the window, and add its audio features."""
        item = self._window(clip, start, rng)
        speech = clip.prepared
        if isinstance(speech, SpeechAndLatents):
            reference_start = item["reference_start_frame"]
            item |= window_latents(speech, start, reference_start, self.frames)
            speech = speech.speech
        item["tokens"] = self.windows(speech, start, self.frames)
        if self.mel is not None:
            mel = mel_window(clip.audio, start, self.frames, self.mel)
            item["mel"] = torch.from_numpy(mel).float()[None]
        return item

    @property
    def _window(self) -> WindowItem:
        return WindowItem(self.frames, self.reference, "none", self.augmentation)


def item_of(profile: LdmProfile, augmented: bool) -> SpeakingItem:
    """Return the profile's item; validation windows are never augmented."""
    look = Augmentation(**profile.augmentation.model_dump()) if augmented else Augmentation()
    return SpeakingItem(
        profile.frames,
        profile.mel if profile.sync_weight else None,
        look,
        profile.reference if augmented else "apart",
        windows_of(profile.whisper),
    )


def batches(
    index: ShardIndex,
    item: SpeakingItem,
    order: OrderConfig,
    size_px: int,
    prepare: Prepare,
    workers: int = 0,
    pictures: bool = True,
) -> ShardBatches:
    """Return the windows of an index as batches for the loop.

    Args:
        pictures: False leaves `frames` and `reference` empty, (B, F, 3, 0, 0): for latents.
    """
    made = partial(_loader, index, item, order, size_px, prepare, workers, pictures)
    return ShardBatches(made)


def sample_windows(
    index: ShardIndex, item: SpeakingItem, size_px: int, prepare: Prepare, clips: int
) -> list[Batch]:
    """Return one window of each of some clips, one batch of one item each: for samples."""
    order = OrderConfig(seed=0, batch=1, in_flight_clips=1, windows_per_clip=1)
    loader = _loader(index, item, order, size_px, prepare, 0, True, 0, 1)
    return [loader.batch_at(step).data for step in range(min(clips, len(index)))]


def _loader(
    index: ShardIndex,
    item: SpeakingItem,
    order: OrderConfig,
    size_px: int,
    prepare: Prepare,
    workers: int,
    pictures: bool,
    rank: int,
    size: int,
) -> Loader:
    config = LoaderConfig(
        order=order,
        window_frames=item.frames,
        size_px=size_px,
        pictures=pictures,
        rank=rank,
        world_size=size,
        workers=workers,
    )
    return Loader(index, item, config, prepare)
