"""Active speaker: whose face the soundtrack belongs to, where several are visible at once.

Two clips compete when they are of one video, of different tracks, and overlap in time. A clip does
not speak when another one covers enough of its time, has the higher confidence
(`pipeline.selection.confidence`), and reaches the threshold of its judge. Every clip is decided
independently against all others, so neither the order of the clips nor chains of overlaps matter.
Whether the active speaker itself passes the other rules (size, sharpness) is not considered: who
speaks is a fact about the sound, not about the quality of the image.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.params.curation import SelectParams
from pipeline.selection.confidence import judge_confidence, most_confident_first
from pipeline.tables.rows import Clip, SyncScore


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """A clip and its sync score."""

    clip: Clip
    score: SyncScore


def non_speakers(clips: Iterable[ScoredClip], params: SelectParams) -> dict[str, str]:
    """Return clip_id -> detail of every clip whose sound belongs to another face."""
    return {
        one.clip.clip_id: _detail(one, rival, params)
        for one, rival in strongest_rivals(clips, params)
        if judge_confidence(rival.score, params).sufficient
    }


def strongest_rivals(
    clips: Iterable[ScoredClip], params: SelectParams
) -> Iterator[tuple[ScoredClip, ScoredClip]]:
    """Yield every clip that has rivals ranking above it, with the most confident of them.

    If that one does not reach the judge's threshold, none of them does.
    """
    for one, rivals in _rivals(clips, params):
        above = [
            rival
            for rival in rivals
            if rival.score.judge == one.score.judge
            and most_confident_first(rival.score) < most_confident_first(one.score)
        ]
        if above:
            yield one, min(above, key=lambda rival: most_confident_first(rival.score))


def _rivals(
    clips: Iterable[ScoredClip], params: SelectParams
) -> Iterator[tuple[ScoredClip, list[ScoredClip]]]:
    """Yield every clip with those that cover more than `not_speaking_overlap` of its time."""
    by_video: dict[str, list[ScoredClip]] = defaultdict(list)
    for one in clips:
        by_video[one.clip.video_id].append(one)
    for group in by_video.values():
        rivals: dict[str, list[ScoredClip]] = {one.clip.clip_id: [] for one in group}
        for first, second in _overlapping_pairs(group):
            for this, other in ((first, second), (second, first)):
                if _covered_share(this.clip, other.clip) > params.not_speaking_overlap:
                    rivals[this.clip.clip_id].append(other)
        yield from ((one, rivals[one.clip.clip_id]) for one in group)


def _overlapping_pairs(group: Sequence[ScoredClip]) -> Iterator[tuple[ScoredClip, ScoredClip]]:
    """Yield pairs of different tracks that overlap, the earlier first, by one sweep over time."""
    open_now: list[ScoredClip] = []
    for one in sorted(group, key=lambda one: (one.clip.start_frame, one.clip.clip_id)):
        open_now = [other for other in open_now if other.clip.end_frame > one.clip.start_frame]
        yield from ((other, one) for other in open_now if _track(other) != _track(one))
        open_now.append(one)


def _covered_share(this: Clip, other: Clip) -> float:
    """Return the share of `this` clip's time that `other` overlaps."""
    first = max(this.start_frame, other.start_frame)
    return (min(this.end_frame, other.end_frame) - first) / (this.end_frame - this.start_frame)


def _track(one: ScoredClip) -> tuple[int, int]:
    return one.clip.scene, one.clip.track


def _detail(one: ScoredClip, speaker: ScoredClip, params: SelectParams) -> str:
    mine, theirs = judge_confidence(one.score, params), judge_confidence(speaker.score, params)
    return (
        f"{mine.judge}: {mine.measure} {mine.value:.4g} (confidence {one.score.confidence:.4g}), "
        f"{theirs.value:.4g} (confidence {speaker.score.confidence:.4g}) of {speaker.clip.clip_id}"
    )
