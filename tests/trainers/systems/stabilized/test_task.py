"""The task of G_S and G_L: who moves when, what is frozen, what the keys of a profile switch."""

import pytest
import torch

from tests.trainers.systems.stabilized.made import FIT, batch_of, files_in, profile_of, task_of
from trainers.data.pixel_range import to_signed
from trainers.loop.players import new_players
from trainers.loop.precision import autocast
from trainers.loop.step import train_step
from trainers.processes.world import World
from trainers.systems.stabilized.painting import SILENCE, closed

ALL = {"pixel", "gan", "perceptual", "triplet", "sync"}
SILENT = {"silent_lips": False, "sync_loss": "none", "triplet": "none"}


@pytest.fixture
def files(tmp_path):
    return files_in(tmp_path)


def state_of(task, part):
    return {name: value.clone() for name, value in task.get_submodule(part).state_dict().items()}


def moved(task, part, before):
    after = task.get_submodule(part).state_dict()
    return {name for name, value in before.items() if not torch.equal(after[name], value)}


def terms_of(task, player="generator"):
    batch = batch_of()
    return task.losses({**batch, "shared": task.shared(batch), "step": 0}, player)


def step(task, **fit):
    params = FIT.model_copy(update=fit)
    train_step(task, new_players(task, params, World()), batch_of(), 0, params, World())


def test_a_step_moves_both_players_and_nothing_frozen(files):
    task = task_of(profile_of(files))
    names = ("generator", "discriminator", "frozen_modules")
    before = {name: state_of(task, name) for name in names}
    step(task)
    assert moved(task, "generator", before["generator"]) == {
        name for name in before["generator"] if "fake" not in name
    }
    assert moved(task, "discriminator", before["discriminator"])
    assert not moved(task, "frozen_modules", before["frozen_modules"])
    assert not [name for name in task.saved_state() if name.startswith("frozen")]


def test_in_the_discriminators_turn_the_generator_gets_no_gradient_and_the_other_way_round(files):
    task = task_of(profile_of(files))
    batch = batch_of()
    shared = task.shared(batch)
    detached = {name: value.detach() for name, value in shared.items()}
    task.losses({**batch, "shared": detached}, "discriminator")["judge"].backward()
    assert all(p.grad is None for p in task.generator.parameters())
    assert all(p.grad is not None for p in task.discriminator.parameters())
    vectors = state_of(task, "discriminator")
    task.discriminator.eval()  # as the loop does for the player that waits
    sum(task.losses({**batch, "shared": shared}, "generator").values()).backward()
    assert all(p.grad is not None for p in task.generator.parameters())
    assert not moved(task, "discriminator", vectors)


def test_spectral_vectors_move_once_in_a_turn(files):
    task, once = task_of(profile_of(files)), task_of(profile_of(files))
    step(task)
    batch = batch_of()
    shared = once.shared(batch)
    once.discriminator(torch.cat([to_signed(batch["frames"]), shared["made"]]).flatten(0, 1))
    name = "layers.0.parametrizations.weight.0._u"
    one, other = (state_of(net, "discriminator")[name] for net in (task, once))
    torch.testing.assert_close(one, other)


def test_frozen_networks_stay_in_eval_mode_and_g_s_sees_silence(files):
    task = task_of(profile_of(files)).train()
    assert not any(module.training for module in task.frozen_modules.modules())
    heard = []
    tower = task.parts.avsyncnet.network.audio_tower
    tower.register_forward_hook(lambda module, given, out: heard.append(given[0]))
    batch = batch_of()
    identity = task.shared(batch)["identity"]
    silence, sound = heard
    assert (silence == SILENCE).all()
    assert torch.equal(sound, batch["mel"].flatten(0, 1))
    network = task.parts.silent_lip.network
    expected = closed(network, tower, to_signed(batch["reference"]).flatten(0, 1))
    assert torch.equal(identity.flatten(0, 1), expected)
    assert not identity.requires_grad


def test_without_silent_lips_the_reference_is_shown_as_it_is(files):
    task, batch = task_of(profile_of(files, silent_lips=False)), batch_of()
    assert task.parts.silent_lip is None
    assert torch.equal(task.shared(batch)["identity"], to_signed(batch["reference"]))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ALL),
        ({"sync_loss": "wav2lip"}, ALL),
        ({"sync_loss": "none"}, ALL - {"sync"}),
        ({"triplet": "plain"}, ALL),
        ({"triplet": "none"}, ALL - {"triplet"}),
        (SILENT, {"pixel", "gan", "perceptual"}),
        ({"gan_weight": 0.0, "perceptual_weight": 0.0}, {"pixel", "triplet", "sync"}),
    ],
)
def test_one_key_switches_one_loss(files, changes, names):
    assert set(terms_of(task_of(profile_of(files, **changes)))) == names


def test_variants_differ_in_their_own_term_alone(files):
    plain = terms_of(task_of(profile_of(files)))
    for changes, name in (({"sync_loss": "wav2lip"}, "sync"), ({"triplet": "plain"}, "triplet")):
        other = terms_of(task_of(profile_of(files, **changes)))
        assert {key for key in plain if not torch.equal(plain[key], other[key])} == {name}


def test_terms_count_by_their_weights(files):
    double = {
        f"{name}_weight": 2.0 * weight
        for name, weight in {
            "gan": 1.0,
            "pixel": 10.0,
            "perceptual": 1.0,
            "sync": 2.0,
            "triplet": 0.5,
        }.items()
    }
    once = terms_of(task_of(profile_of(files)))
    twice = terms_of(task_of(profile_of(files, **double)))
    for name, value in once.items():
        torch.testing.assert_close(twice[name], 2 * value)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_gradients_are_finite_in_16_bits(files, precision):
    task = task_of(profile_of(files))
    with autocast(FIT.model_copy(update={"precision": precision}), torch.device("cpu")):
        terms = terms_of(task)
    assert all(value.dtype == torch.float32 for value in terms.values())
    sum(terms.values()).backward()
    gradients = [p.grad for p in task.generator.parameters()]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_sound_of_the_window_is_that_of_its_middle_frame(files):
    task, batch = task_of(profile_of(files)), batch_of()
    heard = []
    network = task.parts.avsyncnet.network
    network.audio_tower.register_forward_hook(lambda m, given, out: heard.append(given[0]))
    shared = {name: value.detach() for name, value in task.shared(batch).items()}
    heard.clear()
    task._cosines({**batch, "shared": shared})
    assert torch.equal(heard[0], batch["mel"][:, 2])


def test_validation_measures_the_lower_half_alone(files):
    task = task_of(profile_of(files)).eval()
    metrics = task.validate(batch_of())
    names = {"pixel", "mouth_psnr_db", "toward_truth", "sync", "sync_real", "sync_reference"}
    assert set(metrics) == names
    assert all(value.isfinite() for value in metrics.values())
