"""Dubbers that listen pass, and those that copy, stand still or follow another sound fail."""

import numpy as np
import pytest

from tests.trainers.evaluation.talking_films import film, opening_of, with_mouths
from trainers.evaluation.evaluation_clips import EvaluationClip
from trainers.evaluation.listening import ceiling_scores, listening_scores, silence_scores
from trainers.evaluation.opening_readers import fit_readers

FRAMES = 100


@pytest.fixture(scope="module")
def readers():
    return fit_readers((film(FRAMES, seed) for seed in range(8)), 64, 0)


@pytest.fixture(scope="module")
def clips():
    films = [film(FRAMES, seed) for seed in range(100, 106)]
    return [EvaluationClip(films[k], films[k - 3]) for k in range(6)]


def listens(frames, audio, reference):
    return with_mouths(frames, opening_of(audio))


def copies_the_picture(frames, audio, reference):
    return frames


def copies_the_reference(frames, audio, reference):
    return with_mouths(reference, np.zeros(len(frames))) // 2 + reference // 2


def stands_still(frames, audio, reference):
    return with_mouths(frames, np.full(len(frames), 0.1))


def hears_in_another_order(frames, audio, reference):
    blocks = np.random.default_rng(int(audio[0]) & 255).permutation(len(frames))
    return with_mouths(frames, opening_of(audio)[blocks])


def moves_a_tenth(frames, audio, reference):
    return with_mouths(frames, 0.1 + 0.1 * opening_of(audio))


def mumbles_half_and_copies_half(frames, audio, reference):
    own = frames.astype(np.uint16) + listens(frames, audio, reference)
    return (own // 2).astype(np.uint8)


def means(dubber, clips, readers):
    rows = []
    for clip in clips:
        sounds = {"own": clip.film.audio, "foreign": clip.foreign.audio}
        dubs = {k: dubber(clip.film.frames, audio, clip.reference) for k, audio in sounds.items()}
        rows.append(listening_scores(clip, dubs, readers))
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def test_a_listening_dubber_follows_both_sounds_and_not_the_picture(clips, readers):
    found = means(listens, clips, readers)
    assert found["own_r"] > 0.9
    assert found["foreign_r"] > 0.9
    assert abs(found["leak_r"] - found["chance_r"]) < 0.1
    assert found["amplitude"] == pytest.approx(1, abs=0.15)
    assert found["own_amplitude"] == pytest.approx(1, abs=0.15)


def test_a_dubber_that_copies_the_picture_has_its_mouth_under_every_sound(clips, readers):
    found = means(copies_the_picture, clips, readers)
    assert found["own_r"] > 0.9, "on its own sound alone it looks perfect"
    assert found["leak_r"] > 0.9
    assert abs(found["foreign_r"] - found["chance_r"]) < 0.05


@pytest.mark.parametrize("dubber", [copies_the_reference, hears_in_another_order, stands_still])
def test_a_dubber_that_does_not_listen_fails_with_its_own_sound_too(dubber, clips, readers):
    found = means(dubber, clips, readers)
    assert found["own_r"] < 0.25
    assert found["foreign_r"] < 0.25


def test_a_mouth_that_stands_still_has_correlation_0_and_no_amplitude(clips, readers):
    found = means(stands_still, clips, readers)
    assert found["own_r"] == found["foreign_r"] == found["leak_r"] == 0
    assert found["amplitude"] == pytest.approx(0, abs=1e-9)


def test_a_mouth_that_moves_a_little_is_told_by_its_amplitude(clips, readers):
    found = means(moves_a_tenth, clips, readers)
    assert found["foreign_r"] > 0.8
    assert found["amplitude"] < 0.2


def test_a_dubber_that_half_copies_leaks(clips, readers):
    found = means(mumbles_half_and_copies_half, clips, readers)
    assert found["foreign_r"] < 0.85
    assert found["leak_r"] > 0.5


def test_the_ceilings_of_these_films_are_known(clips, readers):
    """Sound says the opening, hair and geometry do not; an autoencoder of grey leaves nothing."""
    one = clips[0].film
    found = ceiling_scores(one, one.frames, readers)
    assert found["reader_r"] > 0.97
    assert found["vae_r"] == found["reader_r"]
    assert found["regression_r"] > 0.85
    assert found["ridge_r"] > 0.8
    assert abs(found["kept_pixels_r"]) < 0.3
    assert abs(found["geometry_r"]) < 0.3
    assert found["geometry_r2"] < 0.1
    assert ceiling_scores(one, np.full_like(one.frames, 99), readers)["vae_r"] == 0


def test_the_reader_reads_in_distances_of_the_eyes(readers):
    one = film(FRAMES, 42)
    read, truth = readers.mouth.opening(one.frames), one.opening - one.opening.mean()
    assert np.abs(read - truth).mean() < 0.15 * np.abs(truth).mean()


def test_geometry_that_carries_the_mouth_is_found(clips):
    def leaking(seed):
        one = film(FRAMES, seed)
        one.geometry[:, 5] += 20 * one.opening
        return one

    found = fit_readers((leaking(seed) for seed in range(8)), 64, 0)
    assert ceiling_scores(leaking(50), leaking(50).frames, found)["geometry_r2"] > 0.4


def test_silence_that_moves_the_mouth_is_seen(clips, readers):
    one = clips[0].film
    still = silence_scores(one, stands_still(one.frames, one.audio, one.frames), readers)
    copied = silence_scores(one, one.frames, readers)
    assert still == pytest.approx({"opening_leak_r": 0, "opening_amplitude": 0}, abs=1e-9)
    assert copied["opening_leak_r"] > 0.95
    assert copied["opening_amplitude"] == 1


def test_what_is_kept_around_the_mouth_cannot_lend_it_an_opening(clips, readers):
    one = clips[0].film
    still = stands_still(one.frames, one.audio, one.frames)
    still[:, :, :24] = (one.opening * 800).astype(np.uint8)[:, None, None, None]
    assert np.ptp(readers.mouth.opening(still)) == pytest.approx(0, abs=1e-9)


def test_references_come_from_half_of_the_clip_away(clips):
    clip = clips[0]
    np.testing.assert_array_equal(clip.reference[0], clip.film.frames[FRAMES // 2])
    np.testing.assert_array_equal(clip.reference[-1], clip.film.frames[FRAMES // 2 - 1])
