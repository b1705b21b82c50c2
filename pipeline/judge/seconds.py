"""What every second of a corrected sample says of its own: the label `sync` of its npz.

Shape suffixes: S frames of the sample at 25 fps, W windows of the judge, K offsets -15 ... +15.
"""

import numpy as np

from pipeline import elementary
from pipeline.judge.curve import Doubles
from pipeline.judge.evidence import BLOCK_WINDOWS, EvidenceModel, column_of

MOST_LOG_ODDS = 50.0


def sync_by_frame(distances_WK: Doubles, model: EvidenceModel, num_frames: int) -> Doubles:
    """Return (S,) probabilities that the sound fits as it stands, against foreign sound.

    The evidence of the windows of one second around each frame together, for which the model was
    fitted; nearer than half a second to an end there is less. Silence is no evidence: about 0.5.

    Args:
        distances_WK: of the sample; its windows lie in the middle of it.
    """
    odds_W = model.log_odds(distances_WK)[:, column_of(0.0)]
    total = np.concatenate([[0.0], np.cumsum(odds_W)])
    lead, half = (num_frames - len(odds_W)) // 2, BLOCK_WINDOWS // 2
    middle_S = np.clip(np.arange(num_frames) - lead, 0, len(odds_W) - 1)
    ends_S = np.minimum(middle_S + half + 1, len(odds_W))
    second_S = total[ends_S] - total[np.maximum(middle_S - half, 0)]
    bounded_S = np.clip(second_S, -MOST_LOG_ODDS, MOST_LOG_ODDS)
    return np.asarray(1 / (1 + elementary.exp(-bounded_S)))
