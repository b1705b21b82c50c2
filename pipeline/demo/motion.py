"""Head pose and blinks as functions of time: sums of slow and of fast sines, drawn from a seed.

Real heads keep moving at 1 to 3 Hz. After smoothing with a sigma of 1.5 frames their anchors are
off by 0.8 to 1.6 of 256 pixels on most clips; those of a head that moves slowly by 0.35.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SINES = 3
_SLOWEST_HZ, _FASTEST_HZ = 0.12, 0.6
_BLINK_EVERY_S = (1.8, 4.2)
_BLINK_HALF_S = 0.09


class Pose(NamedTuple):
    """Where the head is. Shifts in units of the distance eyes to chin."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    yaw_deg: float = 0.0
    """Positive turns the nose to the picture's right."""
    pitch_deg: float = 0.0
    """Positive rendered down."""
    roll_deg: float = 0.0


_REACH = Pose(0.035, 0.025, 0.02, 6.0, 3.5, 2.5)
"""Largest slow movement either way of a calm speaker."""
_NOD_HZ = (0.8, 2.6)
_NOD_REACH = Pose(0.045, 0.06, 0.008, 1.2, 1.2, 1.2)
"""Largest fast movement: nods and small shakes, which real speakers make all the time."""


@dataclass(frozen=True, slots=True)
class Motion:
    """The movement of one head that does not depend on what it says."""

    hz: NDArray[np.float64]
    phase: NDArray[np.float64]
    size: NDArray[np.float64]
    """(S, 6): sines, fields of Pose."""
    blinks_s: NDArray[np.float64]
    base: Pose

    def pose(self, time_s: float) -> Pose:
        """Return the pose at a time."""
        waves = (np.sin(2 * np.pi * self.hz * time_s + self.phase) * self.size).sum(axis=0)
        return Pose(*(np.array(self.base) + waves).tolist())

    def lids(self, time_s: float) -> float:
        """Return how far the eyes are closed, 0 to 1."""
        if not len(self.blinks_s):
            return 0.0
        nearest = float(np.abs(self.blinks_s - time_s).min())
        return float(np.clip(1.5 - 1.5 * nearest / _BLINK_HALF_S, 0.0, 1.0))


def move(seed: int, duration_s: float, base: Pose | None = None) -> Motion:
    """Draw a movement. `base` is the pose it swings round."""
    random = np.random.default_rng(seed)
    shape = (_SINES, len(Pose._fields))
    size = random.uniform(0.3, 1.0, shape)
    gaps = random.uniform(*_BLINK_EVERY_S, size=1 + int(duration_s / _BLINK_EVERY_S[0]))
    hz = [random.uniform(_SLOWEST_HZ, _FASTEST_HZ, shape)]
    phase = [random.uniform(0.0, 2 * np.pi, shape)]
    nods = random.uniform(0.3, 1.0, shape)
    hz.append(random.uniform(*_NOD_HZ, shape))
    phase.append(random.uniform(0.0, 2 * np.pi, shape))
    sizes = [size / size.sum(axis=0) * _REACH, nods / nods.sum(axis=0) * _NOD_REACH]
    return Motion(
        hz=np.concatenate(hz),
        phase=np.concatenate(phase),
        size=np.concatenate(sizes),
        blinks_s=np.cumsum(gaps),
        base=base or Pose(),
    )


def rotation(pose: Pose) -> NDArray[np.float64]:
    """Return the 3 x 3 rotation of a pose; x right, y down, z away from the camera."""
    yaw, pitch, roll = np.radians([-pose.yaw_deg, -pose.pitch_deg, pose.roll_deg])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_x) @ np.array(about_y)
