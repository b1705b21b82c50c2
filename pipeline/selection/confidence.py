"""A judge's own confidence in its score of one clip, and that judge's threshold.

The landmark judge gives a calibrated probability, the SyncNet judge LSE-C. The two measures are
not comparable, so clips are ranked within one judge only.
"""

from dataclasses import dataclass

from pipeline.params.curation import SelectParams
from pipeline.tables.rows import SyncScore


@dataclass(frozen=True, slots=True)
class JudgeConfidence:
    """Confidence in one score, in the unit of its judge."""

    judge: str
    measure: str
    """`probability`, or `LSE-C`."""
    value: float
    minimum: float
    """The judge's threshold in params.yaml."""

    @property
    def sufficient(self) -> bool:
        """Whether the value reaches the threshold."""
        return self.value >= self.minimum


def judge_confidence(score: SyncScore, params: SelectParams) -> JudgeConfidence:
    """Return a score's confidence with the threshold of the judge that gave it."""
    value = confidence_value(score)
    if score.judge == "landmark":
        return JudgeConfidence("landmark", "probability", value, params.landmark_min_probability)
    return JudgeConfidence(score.judge, "LSE-C", value, params.syncnet_min_confidence)


def confidence_value(score: SyncScore) -> float:
    """Return the number on which the score's judge has its threshold."""
    if score.judge == "landmark":
        assert score.probability is not None, f"{score.clip_id}: landmark without a probability"
        return score.probability
    assert score.judge == "syncnet", f"{score.clip_id}: no threshold for judge {score.judge!r}"
    return score.confidence


def most_confident_first(score: SyncScore) -> tuple[str, float, float, str]:
    """Sort key: by judge, then descending confidence; ties by the lower clip_id."""
    return score.judge, -confidence_value(score), -score.confidence, score.clip_id
