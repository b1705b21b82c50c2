"""What a run is known by, and where a longer one goes on."""

import json

import pytest

from pipeline.params.fit import FitParams
from pipeline.params.training import LdmProfile, SyncnetProfile
from tests.trainers.loop.toy_tasks import HELD_OUT, PARAMS, SOURCE, made, same, weights, with_
from trainers.loop.batches import WholeBatches
from trainers.loop.checkpoints import training_folder
from trainers.loop.fit import fit
from trainers.loop.run_identity import folder_of_run, identity

COSINE = FitParams(schedule="cosine")
BEST = FitParams(best_metric="square", final="best")
OTHER = {
    "seed": 1,
    "max_steps": 999,
    "learning_rate": 2e-4,
    "beta1": 0.8,
    "beta2": 0.99,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "warmup_steps": 3,
    "final_learning_rate_share": 0.5,
    "max_grad_norm": 2.0,
    "precision": "bf16",
    "micro_batch": 2,
    "ema_decay": 0.5,
    "validate_every": 7,
    "save_every": 7,
    "save_minutes": 7.0,
    "log_every": 7,
    "sample_every": 7,
    "best_metric": "loss",
    "best_mode": "max",
    "patience": 3,
    "final": "best",
    "max_skipped_steps": 7,
    "optimizer": "adam",
    "players": {"unet": {"every": 2}},
    "ema_players": ["unet"],
}
"""Of every key of `fit` a value that is not the default."""
FREE = {"log_every", "save_every", "save_minutes", "sample_every"}


def of(fit_params, kind=LdmProfile):
    profile = kind(fit=fit_params)
    return identity(profile.model_dump(), profile.fit)


def free_keys(fit_params):
    """Keys of which another value leaves the run the same."""
    free, needed = set(), {"best_metric": "square", "ema_decay": 0.9}
    for name, value in OTHER.items():
        base = {**fit_params.model_dump(), **needed}
        if of(FitParams(**{**base, name: value})) == of(FitParams(**base)):
            free.add(name)
    return free


def test_every_key_of_the_loop_is_tried():
    assert set(OTHER) == set(FitParams.model_fields)


def test_what_is_shown_and_kept_on_the_way_is_no_part_of_a_run():
    assert free_keys(FitParams()) == FREE | {"validate_every", "max_steps"}
    assert free_keys(COSINE) == FREE | {"validate_every", "schedule"}
    assert free_keys(BEST) == FREE | {"final"}


def test_a_patient_run_depends_on_when_it_is_validated():
    patient = FitParams(best_metric="square", patience=2)
    assert "validate_every" not in free_keys(patient)
    assert "max_steps" not in free_keys(patient)


def test_sampling_is_no_part_of_a_run_and_every_other_key_is():
    profile, changed = LdmProfile(), {"sample_steps": 3, "sample_clips": 7, "sample_guidance": 2.0}
    other = profile.model_copy(update=changed)
    assert identity(profile.model_dump(), profile.fit) == identity(other.model_dump(), other.fit)
    for kind in (LdmProfile, SyncnetProfile):
        left_out = {name for name in kind.model_fields if name.startswith("sample_")}
        assert set(of(FitParams(), kind)) == set(kind.model_fields) - left_out


def folder(**changes):
    profile = SyncnetProfile(fit=with_(**changes))
    return folder_of_run("test", profile, {"data": "a"})


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path))


def test_a_longer_constant_run_goes_on_where_the_shorter_one_ended_with_the_same_weights(tmp_path):
    options = {"ema_decay": 0.9, "warmup_steps": 2}
    whole = made(dropout=0.3)
    fit(whole, SOURCE, with_(max_steps=12, **options), tmp_path / "whole", HELD_OUT)
    short, long = (with_(max_steps=steps, **options) for steps in (5, 12))
    first = made(dropout=0.3)
    fit(first, SOURCE, short, folder(max_steps=5, **options), HELD_OUT)
    asked = []
    recording = WholeBatches(lambda step: asked.append(step) or SOURCE.batch_at(step, 0, 1))
    parts = made(dropout=0.3)
    outcome = fit(parts, recording, long, folder(max_steps=12, **options), HELD_OUT)
    assert (outcome.step, outcome.finished, min(asked)) == (12, "max_steps", 5)
    assert same(weights(parts), weights(whole))
    steps = [
        json.loads(line)["step"]
        for line in (folder(max_steps=12, **options) / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps[0] == 0
    assert 5 in steps
    again = made(dropout=0.3)
    never = WholeBatches(lambda step: pytest.fail("a batch was asked for"))
    assert fit(again, never, short, folder(max_steps=5, **options), HELD_OUT).step == 5
    assert same(weights(again), weights(first))


@pytest.mark.parametrize(
    "changes", [{"schedule": "cosine"}, {"best_metric": "square", "final": "best"}]
)
def test_a_run_whose_length_matters_begins_anew(changes):
    fit(made(), SOURCE, with_(max_steps=4, **changes), folder(max_steps=4, **changes), HELD_OUT)
    asked = []
    source = WholeBatches(lambda step: asked.append(step) or SOURCE.batch_at(step, 0, 1))
    fit(made(), source, with_(max_steps=6, **changes), folder(max_steps=6, **changes), HELD_OUT)
    assert min(asked) == 0


def test_a_folder_of_ones_own_has_no_shorter_runs_beside_it(tmp_path):
    fit(made(), SOURCE, with_(max_steps=4), tmp_path / "steps-4", HELD_OUT)
    asked = []
    source = WholeBatches(lambda step: asked.append(step) or SOURCE.batch_at(step, 0, 1))
    fit(made(), source, PARAMS, tmp_path / "mine", HELD_OUT)
    assert min(asked) == 0


def test_runs_of_other_data_lie_elsewhere():
    profile = SyncnetProfile()
    one, other = (folder_of_run("test", profile, {"data": data}) for data in "ab")
    assert one.parent != other.parent
    assert one.parent.parent == training_folder("test", {}).parent
