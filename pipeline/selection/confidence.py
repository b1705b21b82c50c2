"""How far a judge's answer on one clip can be trusted: its own measure, against its own limit.

The landmark judge gives a calibrated probability, the SyncNet judge LSE-C. Neither number means
anything for the other judge, so they are compared within one judge only.
"""

from dataclasses import dataclass

from pipeline.params.curation import SelectParams
from pipeline.tables.rows import SyncScore


@dataclass(frozen=True, slots=True)
class Trust:
    """What one judge's answer is worth, in the unit of that judge."""

    judge: str
    quantity: str
    """`probability`, or `LSE-C`."""
    value: float
    limit: float
    """Minimum in force for this judge."""

    @property
    def enough(self) -> bool:
        """Whether the answer may be relied on."""
        return self.value >= self.limit

    def __str__(self) -> str:
        return f"{self.judge}: {self.quantity} {self.value:.4g} (min {self.limit:g})"


def trust(score: SyncScore, params: SelectParams) -> Trust:
    """Weigh a score by the threshold of the judge that gave it."""
    if score.judge == "landmark":
        return Trust("landmark", "probability", value_of(score), params.landmark_min_probability)
    return Trust(score.judge, "LSE-C", value_of(score), params.syncnet_min_confidence)


def value_of(score: SyncScore) -> float:
    """Return the number on which the score's judge has its threshold."""
    if score.judge == "landmark":
        assert score.probability is not None, f"{score.clip_id}: landmark without a probability"
        return score.probability
    assert score.judge == "syncnet", f"{score.clip_id}: no threshold for judge {score.judge!r}"
    return score.confidence


def surest_first(score: SyncScore) -> tuple[str, float, float, str]:
    """Sort key: by judge, in it the surest first, of equals the one with the lower clip_id."""
    return score.judge, -value_of(score), -score.confidence, score.clip_id
