"""Lost packets of codecs that do not notice a missing reference: gaps in regular timestamps."""

import numpy as np

from pipeline.media.packets import TrackPackets
from pipeline.media.restarts import Shifts

COUNTED = frozenset({"h264", "hevc"})
"""Codecs whose losses are known by themselves."""
GAP = 1.5
"""A step of more than so many usual ones misses a packet."""
REGULAR_SHARE = 0.98
"""Steps that must be usual ones for a gap to mean something. Of 69 real clips one has a variable
rate (64 % usual steps); the others have 99.7 % and more."""


def losses_by_time(packets: TrackPackets, shifts: Shifts) -> list[int]:
    """Return the packets of a picture before which others are missing, as their times tell.

    A pause in the recording looks the same and is taken for a loss: it costs the pictures up to the
    next key frame.
    """
    if packets.codec in COUNTED or len(packets) < 3:
        return []
    ordered, _ = packets.ordered()
    steps = np.diff(ordered + shifts.each(len(packets)))
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    regular = np.abs(steps - usual) <= max(0.1 * usual, 1.5)
    if regular.mean() < REGULAR_SHARE:
        return []
    return (np.flatnonzero(steps > GAP * usual) + 1).tolist()
