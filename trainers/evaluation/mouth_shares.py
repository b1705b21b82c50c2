"""Shares of frames with an open and with a closed mouth: what is left of a mouth under silence.

Shape suffixes: T frames, L landmarks, C coordinates.
Source: LipLeak of Bigata et al., "KeySync" (2025): share of frames of a silence-driven video whose
mouth aspect ratio is above 0.25. Their landmarks differ from ours, so values compare within a
report, not with theirs.
"""

import math

from pipeline.faces.schemas import schema_named
from trainers.evaluation.landmark_distance import Floats, has_face
from trainers.evaluation.mouth_shape import CLOSED_ASPECT, OPEN_ASPECT, mouth_aspect_ratio


def mouth_shares(schema: str, landmarks_TLC: Floats) -> dict[str, float]:
    """Return `mouth_open_share` and `mouth_closed_share` of the frames with a face.

    Args:
        schema: of the landmarks.
        landmarks_TLC: of made or real frames; NaN without a face.

    NaN if no frame has a face.
    """
    known = landmarks_TLC[has_face(landmarks_TLC)]
    if not len(known):
        return {"mouth_open_share": math.nan, "mouth_closed_share": math.nan}
    aspect_T = mouth_aspect_ratio(schema_named(schema), known)
    return {
        "mouth_open_share": float((aspect_T > OPEN_ASPECT).mean()),
        "mouth_closed_share": float((aspect_T < CLOSED_ASPECT).mean()),
    }
