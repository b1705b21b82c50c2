"""Which sound and which reference each dub of a clip gets."""

import numpy as np
import pytest

from tests.trainers.evaluation.talking_films import film
from trainers.evaluation.clip_versions import WantedDubs, dubbed_versions
from trainers.evaluation.dub_cache import Dubber, DubCache
from trainers.evaluation.evaluation_clips import EvaluationClip

ALL = WantedDubs(silence=True, itself_as_reference=True)
ONLY_SOUNDS = WantedDubs(silence=False, itself_as_reference=False)


@pytest.fixture
def dubs(tmp_path, monkeypatch):
    """A dubber whose pictures say what it was given: loudness, and the reference's first pixel."""
    monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path))

    def dub(frames, audio, reference):
        made = frames.copy()
        made[:, 0, 0, 0] = min(255, np.abs(audio.astype(int)).max() // 200)
        made[:, 1] = reference[:, 1]
        return made

    def seams(frames):
        return np.arange(frames) == 3

    parts = {"dub": dub, "round_trip": lambda frames: frames // 2, "seams": seams}
    return DubCache(Dubber(**parts, size_px=64, names={}, facts={}, threads=3))


def test_every_dub_has_its_sound_and_its_reference(dubs):
    clip = EvaluationClip(film(40, 0), film(40, 1))
    found = dubbed_versions(clip, dubs, ALL)
    frames, own = found.frames, clip.film.audio.astype(int)
    named = ["real", "own", "foreign", "own_itself", "foreign_itself", "silence"]
    assert list(frames) == named
    assert (frames["silence"][:, 0, 0, 0] == 0).all()
    assert (frames["own"][:, 0, 0, 0] == min(255, np.abs(own).max() // 200)).all()
    assert (frames["own"][:, 1] == clip.reference[:, 1]).all()
    assert (frames["silence"][:, 1] == clip.reference[:, 1]).all()
    assert (frames["foreign_itself"][:, 1] == clip.film.frames[:, 1]).all()
    assert np.array_equal(found.sounds["foreign"], clip.foreign.audio)
    assert np.array_equal(found.decoded, clip.film.frames // 2)
    assert found.seams.sum() == 1


def test_without_a_foreign_film_or_a_wish_there_are_fewer_dubs(dubs):
    alone = EvaluationClip(film(40, 0), None)
    assert list(dubbed_versions(alone, dubs, ONLY_SOUNDS).frames) == ["real", "own"]
    both = EvaluationClip(film(40, 0), film(40, 1))
    assert list(dubbed_versions(both, dubs, ONLY_SOUNDS).frames) == ["real", "own", "foreign"]
