"""A run of SyncDiff: resumed bit for bit, its folder, its bundle."""

import json

import numpy as np
import pytest
import torch

from pipeline.errors import ParamsError, WeightsError
from pipeline.params.fit import FitParams
from tests.trainers.systems.syncdiff.made import FIT, SIZE_PX, profile_of, shards_in, task_of
from trainers.data.pixel_range import to_bytes, to_signed
from trainers.dubbing.face_generation import dub_faces
from trainers.loop.fit import RunOptions
from trainers.processes.world import World
from trainers.systems.syncdiff.bundle import NETWORK_FILE, save_bundle
from trainers.systems.syncdiff.sampling import roll_out
from trainers.systems.syncdiff.training import bundle_facts, new_task, run_folder, train
from trainers.talking_face.model import DubOptions
from trainers.trained_models import load_model


class Done:
    step, finished, metrics = 2, "max_steps", {"clean": 0.5}


def test_a_run_that_was_cut_gives_the_weights_of_one_that_was_not(tmp_path):
    shards = shards_in(tmp_path)
    fit = FitParams(**{**FIT.model_dump(), "ema_decay": 0.9, "warmup_steps": 1})
    profile = profile_of(fit=fit)
    whole, _ = train(profile, shards, World(), RunOptions(), tmp_path / "a")
    train(profile, shards, World(), RunOptions(), tmp_path / "b")
    (tmp_path / "b" / "step-00000002.pt").unlink()
    parts, outcome = train(profile, shards, World(), RunOptions(), tmp_path / "b")
    assert (outcome.step, outcome.finished) == (2, "max_steps")
    state = parts.network.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in whole.network.state_dict().items())
    first = new_task(profile).network.state_dict()
    assert not torch.equal(
        first["bottleneck.norm.running_mean"], state["bottleneck.norm.running_mean"]
    )


def test_a_key_that_decides_the_weights_gives_a_folder_of_its_own(tmp_path):
    shards = shards_in(tmp_path / "data")
    folder = run_folder(profile_of(), shards)
    assert folder == run_folder(profile_of(sample_steps=9), shards)
    changes = ({"pose": "none"}, {"pose": "direct"}, {"pose_noise": 0.5}, {"frozen_layers": 6})
    assert len({run_folder(profile_of(**one), shards) for one in changes} | {folder}) == 5


def test_dubbing_by_the_bundle_is_the_roll_out_of_the_task(tmp_path):
    task = task_of(profile_of()).eval()
    save_bundle(tmp_path, task.network, bundle_facts(task, Done()))
    model = load_model(tmp_path)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (5, 3, SIZE_PX, SIZE_PX)).astype(np.uint8)
    sound = rng.integers(-3000, 3000, 5 * 640).astype(np.int16)
    options = DubOptions(steps=2, seed=4, reference="first")
    made = dub_faces(model, frames, sound, options)
    real, tokens = to_signed(torch.from_numpy(frames)), model.audio.features([sound])[0]
    expected = roll_out(task, real[None], real[:1], tokens[None], seed=4, steps=2)
    assert np.array_equal(made, to_bytes(expected[0]).numpy())


def test_the_facts_name_every_part_and_weights_of_another_training_are_refused(tmp_path):
    task = task_of(profile_of(autoencoder="stand-in:vq-f4"))
    save_bundle(tmp_path, task.network, bundle_facts(task, Done()))
    facts = json.loads((tmp_path / "model.json").read_text())
    assert (facts["system"], facts["stand_ins"]) == ("syncdiff", ["stand-in:vq-f4"])
    other = tmp_path / "other"
    save_bundle(other, new_task(profile_of(autoencoder="stand-in:vq-f4")).network, facts)
    (other / NETWORK_FILE).replace(tmp_path / NETWORK_FILE)
    with pytest.raises(WeightsError, match="its network is not that of the training"):
        load_model(tmp_path)


def test_an_unknown_part_and_an_absent_file_name_key_and_fix(tmp_path):
    shards = shards_in(tmp_path)
    with pytest.raises(ParamsError, match="network: 'huge'; known: mini, ldm"):
        run_folder(profile_of(network="huge"), shards)
    with pytest.raises(ParamsError, match=r"autoencoder: no autoencoder named 'kl'.*pixels-8"):
        run_folder(profile_of(autoencoder="kl"), shards)
    with pytest.raises(WeightsError, match=r"none.ckpt: no such file .*vq-f4.zip"):
        run_folder(profile_of(autoencoder="vq-f4:none.ckpt"), shards)
    with pytest.raises(WeightsError, match=r"none.pt: no such file; put AV-HuBERT's"):
        run_folder(profile_of(audio="av-hubert:none.pt"), shards)


@pytest.mark.parametrize("audio", ["stand-in:whisper-tiny", "tiny", "av-hubert-9:a.pt", "Mel", ""])
def test_a_front_end_that_this_system_has_not_is_refused_with_its_key(tmp_path, audio):
    with pytest.raises(ParamsError, match=r"syncdiff.profiles, audio: .* known: mel, av-hubert:F"):
        run_folder(profile_of(audio=audio), shards_in(tmp_path))


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        ({"autoencoder": "stand-in:vq-f4"}, "autoencoder: 'stand-in:vq-f4' has 3 channels, .* 192"),
        ({"audio": "stand-in:av-hubert-9"}, "audio: 'stand-in:av-hubert-9'; .* with 'mel'"),
        ({"format": 2}, "format: "),
        ({"resolution_px": 48}, "resolution_px: "),
    ],
)
def test_facts_that_do_not_fit_the_weights_are_refused(tmp_path, fact, told):
    save_bundle(
        tmp_path, task_of(profile_of()).network, bundle_facts(task_of(profile_of()), Done())
    )
    facts = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**facts, **fact}))
    with pytest.raises(WeightsError, match=rf"model.json: {told}"):
        load_model(tmp_path)
