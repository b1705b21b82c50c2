"""Runs of G_S and G_L: resumed bit for bit, the order of the stages, the bundle."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import ParamsError, WeightsError
from pipeline.params.neighbours import SilentLipParams, TalkerProfile
from tests.trainers.systems.stabilized.made import (
    SIZE_PX,
    SMALL,
    clip_of,
    files_in,
    profile_of,
    shards_in,
    task_of,
)
from trainers.audio.mel import mel_window
from trainers.data.pixel_range import to_bytes, to_signed
from trainers.dubbing.face_generation import dub_faces
from trainers.dubbing.sampling_options import sampling_options
from trainers.loop.fit import FitResult, RunOptions
from trainers.processes.world import World
from trainers.systems.stabilized.configs import CONFIGS
from trainers.systems.stabilized.items import TalkerItem, mel_of_frames
from trainers.systems.stabilized.painting import closed, painted
from trainers.systems.stabilized.stage import save_model
from trainers.systems.stabilized.training import run_folder, train
from trainers.trained_models import load_model

DONE = FitResult(2, "max_steps", None, 0, {"pixel": 0.5})


@pytest.fixture
def files(tmp_path):
    return files_in(tmp_path)


def run(profile, shards, folder):
    return train("stabilized", profile, shards, World(), RunOptions(), folder)


def test_a_run_that_was_cut_gives_the_weights_of_one_that_was_not(tmp_path, files):
    shards, profile = shards_in(tmp_path / "data"), profile_of(files)
    whole, _ = run(profile, shards, tmp_path / "a")
    run(profile, shards, tmp_path / "b")
    (tmp_path / "b" / "step-00000002.pt").unlink()
    parts, outcome = run(profile, shards, tmp_path / "b")
    assert (outcome.step, outcome.finished) == (2, "max_steps")
    state = parts.saved_state()
    assert all(torch.equal(one, state[name]) for name, one in whole.saved_state().items())


def test_frames_their_sounds_and_pictures_of_another_moment():
    clip = clip_of(frames=20)
    for start in (0, 5, 11):
        item = TalkerItem()(clip, start, np.random.default_rng(start))
        first = item["start_frame"]
        assert first == start + 2
        assert np.array_equal(item["frames"], clip.frames[first : first + 5])
        for number in range(5):
            around = mel_window(clip.audio, first + number - 2, 5)
            np.testing.assert_allclose(item["mel"][number, 0], around, atol=1e-4)
        taken = range(first, first + 5)
        others = [
            f
            for f in range(20)
            if any(np.array_equal(clip.frames[f], r) for r in item["reference"])
        ]
        assert len(others) == 5
        assert not set(others) & set(taken)
        torch.testing.assert_close(
            mel_of_frames(clip.audio, first, 5), item["mel"], rtol=0, atol=1e-4
        )


def test_sound_beyond_the_ends_of_a_clip_is_silence():
    mel = mel_of_frames(np.ones(640, np.int16), 30, 2)
    assert mel.shape == (2, 1, 80, 16)
    assert (mel == -4).all()


def test_what_decides_the_weights_gives_a_folder_of_its_own(tmp_path, files):
    shards, other = shards_in(tmp_path / "data"), tmp_path / "other"
    other.mkdir()
    folder = run_folder("stabilized", profile_of(files), shards)
    assert folder == run_folder("stabilized", profile_of(files, sample_frames=7), shards)
    changes = ({"sync_loss": "wav2lip"}, {"silent_lips": False}, files_in(other, seed=1))
    folders = {run_folder("stabilized", profile_of({**files, **one}), shards) for one in changes}
    assert len(folders | {folder}) == 4


def test_g_s_of_another_avsyncnet_is_refused(tmp_path, files):
    other = tmp_path / "other"
    other.mkdir()
    mixed = {**files, "avsyncnet": files_in(other, seed=1)["avsyncnet"]}
    with pytest.raises(WeightsError, match="with another AVSyncNet"):
        task_of(profile_of(mixed))
    assert task_of(profile_of(mixed, silent_lips=False)).parts.silent_lip is None


def test_g_l_can_start_from_g_s_with_and_without_silent_lips(files):
    random = task_of(profile_of(files)).generator.state_dict()
    for silent_lips in (True, False):
        task = task_of(profile_of(files, start="silent_lip", silent_lips=silent_lips))
        state, begun = task.parts.silent_lip.network.state_dict(), task.generator.state_dict()
        assert all(torch.equal(begun[name], value) for name, value in state.items())
        assert (task.closer is None) == (not silent_lips)
    assert not torch.equal(random["reduce.weight"], state["reduce.weight"])


def test_g_s_of_another_size_is_refused(tmp_path, files, monkeypatch):
    monkeypatch.setitem(CONFIGS, "wide", replace(SMALL, widths=(8, 16)))
    with pytest.raises(WeightsError, match="has other sizes"):
        task_of(profile_of(files, network="wide"))


def test_an_absent_network_and_another_size_name_the_fix(tmp_path, files):
    with pytest.raises(WeightsError, match="`dvc repro avsyncnet` makes it"):
        task_of(profile_of({**files, "avsyncnet": str(tmp_path / "none.safetensors")}))
    with pytest.raises(WeightsError, match="hears 128"):
        task_of(profile_of(files, network="tiny"))
    with pytest.raises(ParamsError, match="known: paper, tiny"):
        task_of(profile_of(files, network="huge"))
    with pytest.raises(ParamsError, match=r"stabilized.profiles, vgg: .*known: vgg19, stand-in:v"):
        task_of(profile_of(files, vgg="vgg16"))


def test_the_section_of_g_s_refuses_what_would_make_it_another_thing():
    with pytest.raises(ValueError, match="G_S is trained without"):
        SilentLipParams(profiles={"tiny": TalkerProfile()})


@pytest.mark.parametrize("silent_lips", [True, False])
def test_dubbing_by_the_bundle_paints_lower_halves_with_g_l_and_g_s(tmp_path, files, silent_lips):
    task = task_of(profile_of(files, silent_lips=silent_lips)).eval()
    save_model(tmp_path / "model", task, DONE)
    model = load_model(tmp_path / "model")
    clip = clip_of(frames=13)
    options = sampling_options(model, {})
    assert (options.reference, options.overlap_frames) == ("apart", 0)
    made = dub_faces(model, clip.frames, clip.audio, options)
    assert np.array_equal(made[:, :, : SIZE_PX // 2], clip.frames[:, :, : SIZE_PX // 2])
    tower = task.parts.avsyncnet.network.audio_tower
    real = to_signed(torch.from_numpy(clip.frames))
    identity = real[:5]  # of the window before the second one
    if silent_lips:
        identity = closed(task.parts.silent_lip.network, tower, identity)
    mel = mel_of_frames(clip.audio, 5, 5)
    with torch.no_grad():
        expected = painted(task.generator, tower, real[5:10], identity, mel)
    lower = to_bytes(expected)[..., SIZE_PX // 2 :, :].numpy()
    assert np.array_equal(made[5:10, :, SIZE_PX // 2 :], lower)
    keep = model.keep_mask(SIZE_PX)[0, 0]
    assert (keep[: SIZE_PX // 2] == 1).all()
    assert (keep[SIZE_PX // 2 :] == 0).all()


def test_the_facts_name_every_part_and_a_file_of_another_training_is_refused(tmp_path, files):
    task = task_of(profile_of(files))
    save_model(tmp_path / "a", task, DONE)
    facts = json.loads((tmp_path / "a" / "model.json").read_text())
    assert (facts["system"], facts["stand_ins"]) == ("stabilized", ["stand-in:vgg19"])
    assert set(facts["sha256"]) == {"generator", "audio_tower", "silent_lip"}
    torch.nn.init.zeros_(task.generator.reduce.weight)
    save_model(tmp_path / "b", task, DONE)
    (tmp_path / "b" / "generator.safetensors").replace(tmp_path / "a" / "generator.safetensors")
    with pytest.raises(WeightsError, match="not the file of the training"):
        load_model(tmp_path / "a")


def test_samples_show_clip_reference_and_dub_side_by_side(tmp_path, files):
    profile = profile_of(files, sample_clips=1, sample_frames=6)
    task, _ = run(profile, shards_in(tmp_path / "data"), tmp_path / "run")
    (video,) = task.samples(0, 1).values()
    assert video.shape == (6, 3, SIZE_PX, 3 * SIZE_PX)
    assert video.dtype == torch.uint8
