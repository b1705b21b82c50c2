"""Clips that are wrong in part, made from good ones: foreign sound at the end, sound lost.

The truth of every frame is known up to the clip's own offset, which the judge gives before the clip
is spoilt.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import JudgeResult
from pipeline.judge.landmark.features import STEPS_PER_FRAME
from trainers.systems.landmark_judge.speech_clips import SpeechClip

FOREIGN_SHARES = (0.3, 0.4, 0.5, 0.6)
LOST_FRAMES = (6, 8, 12, 15)
SPEAKERS = 3
"""Foreign voices per clip and share."""


@dataclass(frozen=True, slots=True, eq=False)
class SpoiltClip:
    """One spoilt clip as judged."""

    kind: str
    """`foreign` or `lost`."""
    amount: float
    """Share of the sound that is foreign, or frames of sound lost in the middle."""
    from_frame: int
    """Where the sound becomes wrong, on the clock of the sound."""
    num_frames: int
    distances: NDArray[np.float64]
    """(W, 31)."""


def spoilt_clips(
    clip: SpeechClip, others: Sequence[SpeechClip], judge: Callable[[SpeechClip], JudgeResult]
) -> list[SpoiltClip]:
    """Spoil one clip in every way and judge it.

    Args:
        others: clips of other people, whose sound becomes the foreign one.
    """
    return [
        SpoiltClip(kind, amount, at, spoilt.num_frames, judge(spoilt).distances)
        for kind, amount, at, spoilt in _spoilt(clip, others[:SPEAKERS])
    ]


def _spoilt(
    clip: SpeechClip, others: Sequence[SpeechClip]
) -> Iterator[tuple[str, float, int, SpeechClip]]:
    for share in FOREIGN_SHARES:
        at = round(clip.num_frames * (1 - share))
        yield from (("foreign", share, at, with_foreign_end(clip, other, at)) for other in others)
    middle = clip.num_frames // 2
    for lost in LOST_FRAMES:
        yield "lost", lost, middle, with_lost_sound(clip, middle, lost)


def with_foreign_end(clip: SpeechClip, other: SpeechClip, frame: int) -> SpeechClip:
    """Put the sound of `other`, repeated if it is short, under everything from `frame` on."""
    first = STEPS_PER_FRAME * frame
    foreign = np.take(other.mel, np.arange(len(clip.mel) - first), axis=0, mode="wrap")
    return replace(clip, mel=np.concatenate([clip.mel[:first], foreign]))


def with_lost_sound(clip: SpeechClip, frame: int, lost: int) -> SpeechClip:
    """Leave out `lost` frames of sound from `frame` on: what follows is that much early."""
    first, after = STEPS_PER_FRAME * frame, STEPS_PER_FRAME * (frame + lost)
    mel = np.concatenate([clip.mel[:first], clip.mel[after:]])
    return replace(clip, shape=clip.shape[: clip.num_frames - lost], mel=mel)
