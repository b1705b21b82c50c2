"""Statistics of the clips of a split, and the overlap of two splits."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from pipeline.tables.rows import FPS
from trainers.data.index import ShardIndex
from trainers.preflight.sample_metadata import SampleMetadata, read_sample_metadata

APPLIED_TOLERANCE_FRAMES = 1
DIGITS = 3
"""Of shares and medians in the JSON."""
LISTED = 20
"""Names of what leaks, in the JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStatistics:
    """One split. Offsets are frames at 25 fps, positive = audio early."""

    clips: int
    """Long enough for an item."""
    too_short: int
    bad: int
    """Samples that cannot be used at all."""
    hours: float
    sources: int
    speakers: int
    """Names found; see `unnamed`."""
    unnamed: int
    """Clips of which neither the speaker is named nor the person known."""
    languages: dict[str, int]
    judges: dict[str, int]
    offsets_before: dict[str, int]
    """Offset in frames -> clips, as the judge found it."""
    offsets_after: dict[str, int]
    """The same after the correction, scored anew by the landmark judge."""
    residual_quarters: dict[str, int]
    """The same in quarters of a frame: -1 is 0.25 frames late."""
    unscored: int
    """Clips whose JSON has no offset after the correction."""
    wrongly_applied: int
    """Clips from which another offset was taken out than found, and that are off since."""
    beyond_one_frame: int
    """Clips scored by the landmark judge that are still off by more than one frame."""
    doubtful: int
    """The same among clips of other judges, where the second score may be the wrong one."""
    residual_median_frames: float | None
    """A shift that all clips share, in parts of a frame."""
    probability_median: float | None
    confidence_median: float | None
    face_px_median: float | None
    crop_px_min: int | None


@dataclass(frozen=True, slots=True)
class Overlap:
    """What training and validation share."""

    clips: list[str]
    sources: list[str]
    speakers: list[str]
    persons: list[str] = field(default_factory=list)
    """By embeddings of the face, which `select` divides by only where there are enough."""

    @property
    def any(self) -> bool:
        """Whether something leaks that must not."""
        return bool(self.clips or self.sources or self.speakers)

    def shortened(self) -> "Overlap":
        """Return the first names of each, for a file."""
        every = (self.clips, self.sources, self.speakers, self.persons)
        return Overlap(*(names[:LISTED] for names in every))


def summarize_split(index: ShardIndex, clips: Sequence[SampleMetadata]) -> SplitStatistics:
    """Sum up the clips of an index."""
    scored = [clip for clip in clips if clip.residual_frames is not None]
    off = [clip for clip in scored if abs(clip.residual_frames or 0) > 1]
    own = sum(clip.judge == "landmark" for clip in off)
    return SplitStatistics(
        clips=len(clips),
        too_short=len(index.too_short),
        bad=len(index.bad),
        hours=round(sum(clip.num_frames for clip in clips) / FPS / 3600, 4),
        sources=len({clip.source for clip in clips if clip.source}),
        speakers=len({clip.speaker for clip in clips if clip.speaker}),
        unnamed=sum(not (clip.speaker or clip.person) for clip in clips),
        languages=_counted(clip.language for clip in clips),
        judges=_counted(clip.judge for clip in clips),
        offsets_before=_offsets(clip.offset_frames for clip in clips),
        offsets_after=_offsets(clip.residual_frames for clip in clips),
        residual_quarters=_offsets(_quarters(clip.residual_subframe) for clip in clips),
        unscored=len(clips) - len(scored),
        wrongly_applied=sum(_wrongly_applied(clip) for clip in clips),
        beyond_one_frame=own,
        doubtful=len(off) - own,
        residual_median_frames=_median(clip.residual_subframe for clip in clips),
        probability_median=_median(clip.probability for clip in clips),
        confidence_median=_median(clip.confidence for clip in clips),
        face_px_median=_median(clip.face_px for clip in clips),
        crop_px_min=min((clip.crop_px for clip in clips if clip.crop_px), default=None),
    )


def read_split(index: ShardIndex) -> tuple[SplitStatistics, list[SampleMetadata]]:
    """Read and sum up.

    Raises:
        ShardReadError: a shard cannot be read.
    """
    clips = read_sample_metadata(index)
    return summarize_split(index, clips), clips


def find_overlap(train: Sequence[SampleMetadata], validation: Sequence[SampleMetadata]) -> Overlap:
    """Return the clips, sources, speakers and persons that stand on both sides, sorted."""
    return Overlap(
        _both({clip.clip_id for clip in train}, {clip.clip_id for clip in validation}),
        _both({clip.source for clip in train}, {clip.source for clip in validation}),
        _both({clip.speaker for clip in train}, {clip.speaker for clip in validation}),
        _both({clip.person for clip in train}, {clip.person for clip in validation}),
    )


def _wrongly_applied(clip: SampleMetadata) -> bool:
    """Return whether the correction was another than the clip's own offset, and is wrong.

    That of a part of a clip, or of an unsure clip of a sure film, may be another one and right.
    """
    if clip.offset_frames is None or clip.applied_frames is None:
        return clip.offset_frames != clip.applied_frames
    other = abs(clip.offset_frames - clip.applied_frames) > APPLIED_TOLERANCE_FRAMES
    return other and abs(clip.residual_frames or 0) > APPLIED_TOLERANCE_FRAMES


def _both(left: set[str], right: set[str]) -> list[str]:
    return sorted((left & right) - {""})


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(name or "unknown" for name in names).items()))


def _offsets(values: Iterable[int | None]) -> dict[str, int]:
    known = Counter(value for value in values if value is not None)
    return {str(value): known[value] for value in sorted(known)}


def _quarters(frames: float | None) -> int | None:
    return None if frames is None else round(4 * frames)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), DIGITS) if known else None
