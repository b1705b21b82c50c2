"""The profile `tiny`, trained: with the right sound it passes, with other films' it fails."""

import logging

import numpy as np
import pytest

from pipeline.params.training import EvaluateParams, LdmProfile
from tests.trainers.evaluation.talking_films import film, write_films
from trainers.data.shard_urls import shard_urls
from trainers.dubbing.face_generation import dub_faces
from trainers.evaluation.evaluation_clips import EvaluationClip
from trainers.evaluation.listening import listening_scores
from trainers.evaluation.opening_readers import fit_readers
from trainers.loop.fit import RunOptions
from trainers.processes.world import World
from trainers.systems.latentsync.bundle import load_bundle, save_bundle
from trainers.systems.latentsync.training import LdmShards, bundle_facts, train
from trainers.talking_face.model import DubOptions

pytestmark = pytest.mark.slow

TRAIN_FILMS, FRAMES, STEPS = 12, 100, 120
DEFAULT = LdmProfile()
PROFILE = DEFAULT.model_copy(
    update={
        "sync_weight": 0.0,
        "sample_clips": 0,
        "fit": DEFAULT.fit.model_copy(update={"max_steps": STEPS, "validate_every": STEPS}),
    }
)


def trained(folder, shift):
    """Return the model trained on films with the sound of the film `shift` places away."""
    data = write_films(folder, "train", [FRAMES] * TRAIN_FILMS, sound_shift=shift)
    urls = shard_urls(data)
    shards = LdmShards(train=urls, validation=urls)
    task, outcome = train(PROFILE, shards, World(), RunOptions(), folder / "run")
    save_bundle(folder / "model", task.unet, bundle_facts(task, outcome))
    return load_bundle(folder / "model")


def measured(bundle):
    readers = fit_readers((film(FRAMES, seed) for seed in range(TRAIN_FILMS)), 64, 0)
    films = [film(FRAMES, seed) for seed in range(100, 104)]
    section, rows = EvaluateParams(), []
    options = DubOptions(
        steps=section.steps, guidance=section.guidance, temperature=section.temperature
    )
    for number, one in enumerate(films):
        clip = EvaluationClip(one, films[number - 2])
        sounds = {"own": one.audio, "foreign": clip.foreign.audio}
        dubs = {
            name: dub_faces(bundle, one.frames, audio, options, clip.reference)
            for name, audio in sounds.items()
        }
        rows.append(listening_scores(clip, dubs, readers))
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    logging.getLogger(__name__).info("%s", found)
    return found


def test_a_model_trained_on_the_right_sound_listens(tmp_path):
    found = measured(trained(tmp_path, 0))
    assert found["own_r"] > 0.5
    assert found["foreign_r"] > 0.5
    assert found["leak_r"] < 0.3
    assert found["amplitude"] > 0.3


def test_a_model_trained_on_the_sound_of_other_films_fails(tmp_path):
    found = measured(trained(tmp_path, 5))
    assert found["own_r"] < 0.3
    assert found["foreign_r"] < 0.3
