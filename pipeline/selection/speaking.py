"""Who speaks when several faces share a soundtrack.

Two clips compete when they are of one video, of different tracks, and overlap in time. A clip has
lost when another covers enough of its time, is surer (`pipeline.selection.confidence`) and
sure enough to be relied on. Each clip is decided on its own, against every other: the order of
the clips does not matter, and a chain of overlaps needs no groups. What else speaks against the
winner (too small, blurred) is no matter: who speaks is a fact about the
sound, not about the picture's quality.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.params.curation import SelectParams
from pipeline.selection.confidence import surest_first, trust
from pipeline.tables.rows import Clip, SyncScore


@dataclass(frozen=True, slots=True)
class Voice:
    """One scored clip: when a face is seen, and how well the sound fits it."""

    clip: Clip
    score: SyncScore


def losses(voices: Iterable[Voice], params: SelectParams) -> dict[str, str]:
    """Return clip_id -> what it lost against, for every clip whose sound is another face's."""
    found = ((one, _winner(one, rivals, params)) for one, rivals in _rivals(voices, params))
    return {one.clip.clip_id: _detail(one, winner, params) for one, winner in found if winner}


def _winner(one: Voice, rivals: Sequence[Voice], params: SelectParams) -> Voice | None:
    """Return the surest of the rivals that beat `one`, if any does."""
    surer = [
        rival
        for rival in rivals
        if rival.score.judge == one.score.judge
        and surest_first(rival.score) < surest_first(one.score)
        and trust(rival.score, params).enough
    ]
    return min(surer, key=lambda rival: surest_first(rival.score), default=None)


def _rivals(voices: Iterable[Voice], params: SelectParams) -> Iterator[tuple[Voice, list[Voice]]]:
    """Yield every clip with those that cover more than `not_speaking_overlap` of its time."""
    by_video: dict[str, list[Voice]] = defaultdict(list)
    for voice in voices:
        by_video[voice.clip.video_id].append(voice)
    for group in by_video.values():
        rivals: dict[str, list[Voice]] = {voice.clip.clip_id: [] for voice in group}
        for one, two in _together(group):
            for this, other in ((one, two), (two, one)):
                if _covered_share(this.clip, other.clip) > params.not_speaking_overlap:
                    rivals[this.clip.clip_id].append(other)
        yield from ((voice, rivals[voice.clip.clip_id]) for voice in group)


def _together(group: Sequence[Voice]) -> Iterator[tuple[Voice, Voice]]:
    """Yield pairs of different tracks that overlap, the earlier first, by one sweep over time."""
    open_now: list[Voice] = []
    for voice in sorted(group, key=lambda one: (one.clip.start_frame, one.clip.clip_id)):
        open_now = [one for one in open_now if one.clip.end_frame > voice.clip.start_frame]
        yield from ((one, voice) for one in open_now if _track(one) != _track(voice))
        open_now.append(voice)


def _covered_share(this: Clip, other: Clip) -> float:
    """Return the share of `this` clip's time in which `other` is seen too."""
    first = max(this.start_frame, other.start_frame)
    return (min(this.end_frame, other.end_frame) - first) / (this.end_frame - this.start_frame)


def _track(voice: Voice) -> tuple[int, int]:
    return voice.clip.scene, voice.clip.track


def _detail(one: Voice, winner: Voice, params: SelectParams) -> str:
    mine, theirs = trust(one.score, params), trust(winner.score, params)
    return (
        f"{mine.judge}: {mine.quantity} {mine.value:.4g} (confidence {one.score.confidence:.4g}), "
        f"{theirs.value:.4g} (confidence {winner.score.confidence:.4g}) of {winner.clip.clip_id}"
    )
