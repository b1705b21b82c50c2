"""Strips show the moment when mouths open, in rows that can be compared."""

import numpy as np

from tests.trainers.evaluation.talking_films import film
from trainers.evaluation.clip_versions import ClipVersions
from trainers.evaluation.evaluation_clips import EvaluationClip
from trainers.evaluation.film_strips import STRIP_FRAMES, TILE_H, TILE_W, mouth_strip, shown_frames


def versions(frames=80, foreign=True):
    one, other = film(frames, 0), film(frames, 1) if foreign else None
    made = {"real": one.frames, "own": one.frames // 2, "foreign": one.frames // 3}
    if not foreign:
        del made["foreign"]
    seams = np.zeros(frames, bool)
    return ClipVersions(EvaluationClip(one, other), made, {}, one.frames, seams)


def test_the_widest_mouth_is_on_the_strip():
    given = versions()
    films = (given.clip.film, given.clip.foreign)
    both = sum(one.opening / one.opening.max() for one in films)
    shown = shown_frames(given)
    assert len(shown) == STRIP_FRAMES
    assert min(abs(number - int(both.argmax())) for number in shown) <= 1
    assert set(np.diff(shown)) == {2}


def test_rows_are_real_own_the_foreign_film_and_foreign():
    strip = mouth_strip(versions())
    assert strip.shape == (4 * TILE_H, STRIP_FRAMES * TILE_W, 3)
    real, own, film_row, foreign = (rows.mean() for rows in np.split(strip, 4))
    assert own < 0.6 * real
    assert foreign < 0.4 * real
    assert abs(film_row - real) < 20


def test_without_foreign_sound_and_in_a_short_clip_there_is_a_strip():
    assert mouth_strip(versions(33, foreign=False)).shape == (2 * TILE_H, 16 * TILE_W, 3)
