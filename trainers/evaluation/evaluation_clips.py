"""The held-out clips of an evaluation, each with its own and with the sound of another clip.

Shape suffixes: T frames, C colours, H and W pixels, N samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MediaError
from pipeline.params.training import EvaluateParams
from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME
from trainers.data.clip import DecodedClip
from trainers.data.index import ShardIndex
from trainers.data.indexed_clips import decode_indexed, decode_indexed_audio

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

MIN_FRAMES = 32
"""Two windows of 16, as in the published protocol of StableSyncNet."""


@dataclass(frozen=True, slots=True)
class EvaluationClip:
    """A clip with its own and with foreign sound, all of one length."""

    key: str
    """`shard.tar/clip_id`."""
    frames: Pixels
    """(T, 3, H, W) RGB."""
    own: Samples
    """(T * 640,) 16 kHz mono."""
    foreign_key: str
    """Key of the clip of `foreign`; empty if the split has only one clip."""
    foreign: Samples
    """(T * 640,), or (0,)."""


@dataclass(slots=True)
class EvaluationClips:
    """The clips of an evaluation, decoded one at a time."""

    index: ShardIndex
    params: EvaluateParams
    size_px: int
    skipped: dict[str, str] = field(default_factory=dict)
    """Key of a clip that does not decode -> error. Filled while iterating."""

    def selected(self) -> list[int]:
        """Return the clips to dub, drawn with the seed, in the order of the index."""
        drawn = np.random.default_rng(self.params.seed).permutation(len(self.index))
        return sorted(int(number) for number in drawn[: self.params.clips])

    def __iter__(self) -> Iterator[EvaluationClip]:
        """Decode the selected clips; one that does not decode is recorded and skipped."""
        for number in self.selected():
            try:
                yield self._clip(number)
            except MediaError as error:
                self.skipped[self.index.key(number)] = str(error)

    def _clip(self, number: int) -> EvaluationClip:
        clip = decode_indexed(self.index, number, self.size_px)
        other = foreign_clip(number, len(self.index))
        max_frames = round(self.params.max_seconds * FPS)
        if other is None:
            return _cut(clip, self.index.key(number), min(clip.num_frames, max_frames))
        sound = decode_indexed_audio(self.index, other)
        frames = min(clip.num_frames, max_frames, len(sound) // SAMPLES_PER_FRAME)
        return _cut(clip, self.index.key(number), frames, self.index.key(other), sound)


def foreign_clip(number: int, clips: int) -> int | None:
    """Return the clip whose sound is used as foreign, half the split away; None if alone.

    Neighbours in a shard are often of one video, clips half the split apart seldom.
    """
    return (number + clips // 2) % clips if clips > 1 else None


def _cut(
    clip: DecodedClip, key: str, frames: int, foreign_key: str = "", foreign: Samples | None = None
) -> EvaluationClip:
    samples = frames * SAMPLES_PER_FRAME
    foreign_cut = np.empty(0, np.int16) if foreign is None else foreign[:samples]
    return EvaluationClip(key, clip.frames[:frames], clip.audio[:samples], foreign_key, foreign_cut)
