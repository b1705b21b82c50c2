import numpy as np
import pytest

from pipeline.faces.schemas import INSIGHTFACE106, MESH468
from pipeline.quality.jump_cuts import LEAST_BESIDE, jump_cuts
from tests.pipeline.quality.synthetic import track

FRAMES = 80
SEEN = np.zeros(FRAMES, bool)


def nodding(schema=MESH468, reach_px: float = 6.0, hz: float = 1.2) -> np.ndarray:
    """A head that nods, (T, L, 3)."""
    points = track(schema, FRAMES)
    points[:, :, 1] += reach_px * np.sin(2 * np.pi * hz * np.arange(FRAMES) / 25)[:, None]
    return points


def changes(points: np.ndarray) -> np.ndarray:
    """Changes of a picture that move with the head."""
    steps = np.abs(np.diff(points[:, :, 1].mean(axis=1)))
    return np.array([steps[0], *steps]) * 2 + 0.5


def without(points: np.ndarray, at: int, missing: int) -> np.ndarray:
    return np.concatenate([points[:at], points[at + missing :], points[-1:].repeat(missing, 0)])


@pytest.mark.parametrize("schema", [MESH468, INSIGHTFACE106], ids=lambda one: one.name)
@pytest.mark.parametrize("missing", [8, 10, 12])
def test_where_half_a_nod_is_missing_there_is_a_jump(schema, missing):
    points = without(nodding(schema), 36, missing)
    assert jump_cuts(changes(points), points, SEEN, schema) == [36]


@pytest.mark.parametrize("hz", [0.5, 1.2, 3.0, 5.0])
def test_a_nod_however_fast_is_none(hz):
    points = nodding(hz=hz)
    assert jump_cuts(changes(points), points, SEEN, MESH468) == []


def test_one_measure_alone_is_none_however_large():
    still, jumping = track(MESH468, FRAMES), track(MESH468, FRAMES)
    jumping[40:] += 50
    flash, quiet = np.full(FRAMES, 1.0), np.full(FRAMES, 1.0)
    flash[40] = 80.0
    assert jump_cuts(flash, still, SEEN, MESH468) == []
    assert jump_cuts(quiet, jumping, SEEN, MESH468) == []
    assert jump_cuts(flash, jumping, SEEN, MESH468) == [40]


def test_a_step_to_or_from_a_lost_face_is_none():
    jumping, flash, lost = track(MESH468, FRAMES), np.full(FRAMES, 1.0), SEEN.copy()
    jumping[40:] += 50
    flash[40] = 80.0
    lost[39] = True
    assert jump_cuts(flash, jumping, lost, MESH468) == []


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9])
def test_a_clip_may_be_short(frames):
    assert jump_cuts(np.ones(frames), track(MESH468, frames), SEEN[:frames], MESH468) == []


@pytest.mark.parametrize("at", [1, LEAST_BESIDE, FRAMES - LEAST_BESIDE, FRAMES - 1])
def test_next_to_an_end_nothing_is_said(at):
    jumping, flash = track(MESH468, FRAMES), np.full(FRAMES, 1.0)
    jumping[at:] += 50
    flash[at] = 80.0
    assert jump_cuts(flash, jumping, SEEN, MESH468) == []
