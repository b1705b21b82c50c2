"""A run of AVSyncNet: what its pairs are, resumed bit for bit, its folder."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import ParamsError
from pipeline.params.fit import FitParams
from pipeline.params.neighbours import AvSyncNetProfile
from tests.trainers.data.made_shards import write_shards
from trainers.audio.mel import mel_window
from trainers.audio.mel_windows import PrepareMel
from trainers.data.clip import DecodedClip
from trainers.data.shard_urls import SplitUrls, shard_urls
from trainers.loop.fit import RunOptions
from trainers.processes.world import World
from trainers.systems.avsyncnet.configs import CONFIGS
from trainers.systems.avsyncnet.items import item_of
from trainers.systems.avsyncnet.training import run_folder, train

FIT = FitParams(max_steps=2, optimizer="adam", save_every=1, validate_every=2, log_every=1)
SIZE_PX = 32


def profile_of(**changes):
    base = {"windows": 3, "batch": 2, "validation_windows": 4, "in_flight_clips": 2, "fit": FIT}
    return AvSyncNetProfile(**{**base, "windows_per_clip": 4, **changes})


def shards_in(folder, lengths=((20, 24), (30,))):
    urls = shard_urls(write_shards(folder, lengths))
    return SplitUrls(train=urls, validation=urls[:1])


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setitem(CONFIGS, "tiny", replace(CONFIGS["tiny"], resolution=SIZE_PX))


def clip_of(frames=20):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (frames, 3, SIZE_PX, SIZE_PX)).astype(np.uint8)
    sound = rng.integers(-3000, 3000, frames * 640).astype(np.int16)
    clip = DecodedClip("clip", "s.tar", pictures, sound)
    clip.prepared = PrepareMel()(clip)
    return clip


def start_of(shown, clip):
    """Return where the lower halves of a clip's frames are those shown."""
    lower = clip.frames[:, :, SIZE_PX // 2 :].reshape(clip.num_frames, -1)
    rows = shown.numpy().reshape(5, -1)
    (found,) = [f for f in range(clip.num_frames - 4) if np.array_equal(lower[f : f + 5], rows)]
    return found


def test_a_pair_is_five_frames_and_the_sound_of_the_same_or_of_no_common_moment():
    item = item_of(profile_of(item="pair", contrast_weight=0.0, augmentation={"flip": 0.0}))
    clip, rng, seen = clip_of(), np.random.default_rng(1), set()
    for _ in range(40):
        made = item(clip, 0, rng)
        assert made["visual"].shape == (15, SIZE_PX // 2, SIZE_PX)
        sound = torch.from_numpy(mel_window(clip.audio, made["start_frame"], 5)).float()
        torch.testing.assert_close(made["mel"], sound[None], rtol=0, atol=1e-4)
        apart = abs(start_of(made["visual"], clip) - made["start_frame"])
        assert apart == 0 if made["in_sync"] else apart >= 5
        seen.add(float(made["in_sync"]))
    assert seen == {0.0, 1.0}


@pytest.mark.parametrize("item", ["windows", "pair"])
def test_a_run_that_was_cut_gives_the_weights_of_one_that_was_not(tmp_path, item):
    shards = shards_in(tmp_path)
    profile = profile_of(item=item, contrast_weight=float(item == "windows"))
    whole, outcome = train(profile, shards, World(), RunOptions(), tmp_path / "a")
    assert set(outcome.metrics) >= {"loss", "accuracy", "ranked", "spread_in_sync"}
    train(profile, shards, World(), RunOptions(), tmp_path / "b")
    (tmp_path / "b" / "step-00000002.pt").unlink()
    parts, outcome = train(profile, shards, World(), RunOptions(), tmp_path / "b")
    assert (outcome.step, outcome.finished) == (2, "max_steps")
    state = parts.syncnet.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in whole.syncnet.state_dict().items())


def test_what_decides_the_weights_gives_a_folder_of_its_own(tmp_path):
    shards = shards_in(tmp_path)
    folder = run_folder(profile_of(), shards)
    assert folder == run_folder(profile_of(fit=FIT.model_copy(update={"log_every": 7})), shards)
    assert folder != run_folder(profile_of(windows=4), shards)
    with pytest.raises(ParamsError, match=r"avsyncnet\.network: 'huge'; known: paper, tiny"):
        run_folder(profile_of(network="huge"), shards)
