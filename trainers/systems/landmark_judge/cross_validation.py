"""Leave-one-source-out cross-validation of the judge.

Every clip is judged with its own sound, with the sound of other folds' clips, and shifted; and so
are its pieces. reference_offsets.py says which offset is right.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.curve import JudgeResult
from pipeline.judge.landmark.features import STEPS_PER_FRAME
from pipeline.tables.rows import FPS
from trainers.systems.landmark_judge.label_cleaning import judge_clip
from trainers.systems.landmark_judge.network import LandmarkSyncNet
from trainers.systems.landmark_judge.speech_clips import SpeechClip, segment
from trainers.systems.landmark_judge.spoilt_clips import SpoiltClip, spoilt_clips

FOREIGN_PER_CLIP = 5
SHIFTS_FRAMES = (-15, -13, -11, -9, -7, -5, 5, 7, 9, 11, 13, 15)
SEGMENT_SECONDS = (2, 3, 5, 8)
DRIFTS_FRAMES = (0, 1, 3, 5)
LONG_ENOUGH_FRAMES = 4 * FPS

Train = Callable[[Sequence[SpeechClip]], Sequence[LandmarkSyncNet]]


@dataclass(frozen=True, slots=True)
class JudgedClip:
    """One clip of a fold, judged by networks that never saw the fold."""

    clip: SpeechClip
    own: JudgeResult
    foreign: list[JudgeResult]
    """With the sound of clips of other folds: of other people. The networks were trained on these
    sounds, with their own pictures; they have seen neither this picture nor this pair."""
    shifted: dict[int, JudgeResult]
    """Lead in frames -> the clip with its sound that much earlier."""
    pieces: dict[int, list[tuple[JudgeResult, JudgeResult]]] = field(default_factory=dict)
    """Seconds -> (own, foreign) of every piece of that length."""
    drifting: dict[int, JudgeResult] = field(default_factory=dict)
    """Frames -> the clip with its sound stretched, so that the offset changes by that many."""
    spoilt: list[SpoiltClip] = field(default_factory=list)
    """The clip with a foreign end, and with sound lost in the middle."""

    @property
    def long_enough(self) -> bool:
        """Whether the clip has 4 s and more."""
        return self.clip.num_frames >= LONG_ENOUGH_FRAMES


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What the networks of one fold say of its clips."""

    judged: list[JudgedClip]
    other_backend: list[tuple[SpeechClip, JudgeResult]]
    """Clips of the same files as another landmark backend saw them."""


def cross_validate(
    clips: Sequence[SpeechClip],
    train: Train,
    other_backend: Sequence[SpeechClip] = (),
    jobs: int = 1,
) -> list[FoldResult]:
    """Train without each source in turn and judge its clips; `jobs` folds at a time."""
    names = sorted({clip.fold for clip in clips})
    run = partial(_run_fold, clips, train, other_backend)
    if jobs == 1:
        return [run(name) for name in names]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, names))


def _run_fold(
    clips: Sequence[SpeechClip], train: Train, other_backend: Sequence[SpeechClip], name: str
) -> FoldResult:
    networks = train([clip for clip in clips if clip.fold != name])
    tested = [clip for clip in clips if clip.fold == name]
    also = [clip for clip in other_backend if clip.fold == name]
    return FoldResult(
        [judge_variants(networks, clip, foreign_to(clip, clips)) for clip in tested],
        [(clip, judge_clip(networks, clip)) for clip in also],
    )


def judge_variants(
    networks: Sequence[LandmarkSyncNet], clip: SpeechClip, others: Sequence[SpeechClip]
) -> JudgedClip:
    """Judge a clip with its own, with foreign and with shifted sound, whole and in pieces."""

    def judge(one: SpeechClip) -> JudgeResult:
        return judge_clip(networks, one)

    return JudgedClip(
        clip=clip,
        own=judge(clip),
        foreign=[judge(with_audio_of(clip, other)) for other in others],
        shifted={lead: judge(shifted(clip, lead)) for lead in SHIFTS_FRAMES},
        pieces={
            seconds: [(judge(a), judge(b)) for a, b in _pieces(clip, others, seconds)]
            for seconds in SEGMENT_SECONDS
        },
        drifting={drift: judge(with_drift(clip, drift)) for drift in DRIFTS_FRAMES},
        spoilt=spoilt_clips(clip, others, judge),
    )


def foreign_to(clip: SpeechClip, clips: Sequence[SpeechClip]) -> list[SpeechClip]:
    """Pick clips of other folds whose sound serves as foreign speech, always the same ones.

    They are at least as long as the clip where there are enough of these.
    """
    foreign = [other for other in clips if other.fold != clip.fold]
    long_enough = [other for other in foreign if other.num_frames >= clip.num_frames]
    others = long_enough if len(long_enough) >= FOREIGN_PER_CLIP else foreign
    rng = np.random.default_rng(list(clip.clip_id.encode()))
    order = rng.permutation(len(others))[:FOREIGN_PER_CLIP]
    return [others[index] for index in order]


def with_audio_of(clip: SpeechClip, other: SpeechClip) -> SpeechClip:
    """Put the sound of `other` under the picture of `clip`."""
    frames = min(clip.num_frames, other.num_frames)
    picture = segment(clip, 0, 0, frames)
    return SpeechClip(
        clip.clip_id, clip.name, clip.fold, picture.shape, segment(other, 0, 0, frames).mel
    )


def shifted(clip: SpeechClip, lead: int) -> SpeechClip:
    """Make the sound `lead` frames earlier than it was; both sides are cut to what they share."""
    frames = clip.num_frames - abs(lead)
    return segment(clip, max(0, -lead), STEPS_PER_FRAME * max(0, lead), frames)


def subclip(clip: SpeechClip, start: int, frames: int) -> SpeechClip:
    """Cut a piece out of both picture and sound."""
    return segment(clip, start, STEPS_PER_FRAME * start, frames)


def with_drift(clip: SpeechClip, drift: int) -> SpeechClip:
    """Play the sound slower: its lead grows by `drift` frames over the clip, around its middle."""
    steps = len(clip.mel)
    at = np.arange(steps)
    played = at + STEPS_PER_FRAME * drift * (at / steps - 0.5)
    bands = [np.interp(played, at, band) for band in clip.mel.T]
    return replace(clip, mel=np.stack(bands, axis=1).astype(np.float32))


def _pieces(
    clip: SpeechClip, others: Sequence[SpeechClip], seconds: int
) -> list[tuple[SpeechClip, SpeechClip]]:
    frames = seconds * FPS
    long_others = [other for other in others if other.num_frames >= frames]
    if not long_others:
        return []
    starts = range(0, clip.num_frames - frames + 1, frames)
    own = [subclip(clip, start, frames) for start in starts]
    foreign = [long_others[number % len(long_others)] for number in range(len(own))]
    return [(a, with_audio_of(a, other)) for a, other in zip(own, foreign, strict=True)]


def nearest_to_zero(curve_K: NDArray[np.float64]) -> int:
    """Return the index of the lowest of the three offsets -1, 0, +1."""
    middle = len(curve_K) // 2
    return middle - 1 + int(curve_K[middle - 1 : middle + 2].argmin())


def shift_followed(judged: JudgedClip) -> list[bool]:
    """Say for each shift whether the offset moved by it, to one frame: needs no truth."""
    return [
        abs(result.offset_frames - judged.own.offset_frames - lead) <= 1
        for lead, result in judged.shifted.items()
        if abs(judged.own.offset_frames + lead) <= 15
    ]
