"""Leave-one-source-out: how well a judge does on sources it never saw.

Every clip is first judged with its own sound (taken as in sync, though some are not), then with
the sound of clips by other people, and shifted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import MAX_OFFSET_FRAMES, JudgeResult
from pipeline.judge.features import STEPS_PER_FRAME
from pipeline.judge.network import LandmarkSyncNet
from pipeline.rows import FPS
from trainers.sync_cleaning import judge_clip
from trainers.sync_data import SpeechClip

FOREIGN_PER_CLIP = 5
SHIFTS_FRAMES = (-12, -9, -6, 6, 9, 12)
SEGMENT_SECONDS = (3, 5, 8)
LONG_ENOUGH_FRAMES = 4 * FPS

Train = Callable[[Sequence[SpeechClip]], Sequence[LandmarkSyncNet]]


@dataclass(frozen=True, slots=True)
class Judged:
    """One clip of a fold, judged by networks that never saw the fold."""

    clip: SpeechClip
    own: JudgeResult
    foreign: list[JudgeResult]
    shifted: list[JudgeResult]
    segments: dict[int, list[tuple[JudgeResult, JudgeResult]]]
    """Seconds -> (own, foreign) of every piece of that length."""


def run_folds(
    clips: Sequence[SpeechClip],
    train: Train,
    on_fold: Callable[[str, list[Judged]], None],
) -> list[Judged]:
    """Train without each fold in turn and judge its clips."""
    judged: list[Judged] = []
    for fold in sorted({clip.fold for clip in clips}):
        networks = train([clip for clip in clips if clip.fold != fold])
        tested = [clip for clip in clips if clip.fold == fold]
        found = [_judged(networks, clip, foreign_to(clip, clips)) for clip in tested]
        on_fold(fold, found)
        judged += found
    return judged


def foreign_to(clip: SpeechClip, clips: Sequence[SpeechClip]) -> list[SpeechClip]:
    """Pick clips of other files whose sound serves as foreign speech, always the same ones."""
    others = [other for other in clips if other.name != clip.name]
    rng = np.random.default_rng(list(clip.clip_id.encode()))
    order = rng.permutation(len(others))[:FOREIGN_PER_CLIP]
    return [others[index] for index in order]


def dubbed(clip: SpeechClip, other: SpeechClip) -> SpeechClip:
    """Put the sound of `other` under the picture of `clip`."""
    frames = min(clip.num_frames, other.num_frames)
    mel = other.mel[: STEPS_PER_FRAME * frames]
    return replace(clip, shape=clip.shape[:frames], mel=mel)


def shifted(clip: SpeechClip, lead: int) -> SpeechClip:
    """Make the sound `lead` frames earlier than it was; both sides are cut to what they share."""
    frames = clip.num_frames - abs(lead)
    picture, sound = max(0, -lead), max(0, lead)
    return _cut(clip, picture, sound, frames)


def piece(clip: SpeechClip, start: int, frames: int) -> SpeechClip:
    """Cut a piece out of both picture and sound."""
    return _cut(clip, start, start, frames)


def _cut(clip: SpeechClip, picture: int, sound: int, frames: int) -> SpeechClip:
    steps = slice(STEPS_PER_FRAME * sound, STEPS_PER_FRAME * (sound + frames))
    shape = clip.shape[picture : picture + frames]
    return replace(clip, shape=shape, mel=clip.mel[steps])


def _judged(
    networks: Sequence[LandmarkSyncNet], clip: SpeechClip, others: Sequence[SpeechClip]
) -> Judged:
    def judge(one: SpeechClip) -> JudgeResult:
        return judge_clip(networks, one)

    return Judged(
        clip=clip,
        own=judge(clip),
        foreign=[judge(dubbed(clip, other)) for other in others],
        shifted=[judge(shifted(clip, lead)) for lead in SHIFTS_FRAMES],
        segments={
            seconds: [(judge(a), judge(b)) for a, b in _pieces(clip, others, seconds)]
            for seconds in SEGMENT_SECONDS
        },
    )


def _pieces(
    clip: SpeechClip, others: Sequence[SpeechClip], seconds: int
) -> list[tuple[SpeechClip, SpeechClip]]:
    frames = seconds * FPS
    long_others = [other for other in others if other.num_frames >= frames]
    if not long_others:
        return []
    starts = range(0, clip.num_frames - frames + 1, frames)
    cut = [piece(clip, start, frames) for start in starts]
    return [
        (own, dubbed(own, long_others[number % len(long_others)])) for number, own in enumerate(cut)
    ]


def within(judged: Sequence[Judged], frames: int) -> float:
    """Return the share of clips of 4 s and more (or of all, if none is) judged in sync."""
    chosen = long_enough(judged)
    return float(np.mean([abs(one.own.offset_frames) <= frames for one in chosen]))


def long_enough(judged: Sequence[Judged]) -> list[Judged]:
    """Return the clips of 4 s and more, or all if there is none."""
    return [j for j in judged if j.clip.num_frames >= LONG_ENOUGH_FRAMES] or list(judged)


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Return the chance that a positive scores higher than a negative (ties count half)."""
    more = np.subtract.outer(np.asarray(positive), np.asarray(negative))
    return float((more > 0).mean() + 0.5 * (more == 0).mean())


def auc_foreign(judged: Sequence[Judged]) -> float:
    """Confidence with the clip's own sound against confidence with somebody else's."""
    foreign = [result.confidence for one in judged for result in one.foreign]
    return auc([one.own.confidence for one in judged], foreign)


def auc_shifted(judged: Sequence[Judged]) -> float:
    """In-sync margin of the clip as it is against the same clip shifted by 6 to 12 frames."""
    moved = [in_sync_margin(result.curve) for one in judged for result in one.shifted]
    return auc([in_sync_margin(one.own.curve) for one in judged], moved)


def in_sync_margin(curve_K: NDArray[np.float64]) -> float:
    """Return how far the curve within one frame of offset 0 lies below its median."""
    near = curve_K[MAX_OFFSET_FRAMES - 1 : MAX_OFFSET_FRAMES + 2]
    return float(np.median(curve_K) - near.min())


def shift_followed_share(judged: Sequence[Judged]) -> float:
    """Share of shifted clips whose offset moved by the shift, to one frame: needs no truth."""
    right = [
        abs(result.offset_frames - one.own.offset_frames - lead) <= 1
        for one in judged
        for lead, result in zip(SHIFTS_FRAMES, one.shifted, strict=True)
        if abs(one.own.offset_frames + lead) <= MAX_OFFSET_FRAMES
    ]
    return float(np.mean(right))
