"""StableSyncNet from shards, through the loop."""

import numpy as np
import torch

from pipeline.fit_params import FitParams
from tests.trainers.data.made_shards import write_shards
from trainers.audio.mel import mel_window
from trainers.data.clip import DecodedClip
from trainers.data.index import shard_urls
from trainers.distributed import World
from trainers.stable_syncnet import Data, PairItem, train


def made_clip(num_frames: int = 60) -> DecodedClip:
    rng = np.random.default_rng(0)
    frames = np.zeros((num_frames, 3, 64, 64), np.uint8)
    frames += np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    sound = rng.integers(-3000, 3000, num_frames * 640).astype(np.int16)
    return DecodedClip("c", "s", frames, sound)


def test_a_pair_has_the_sound_of_its_moment_and_the_picture_of_its_label():
    clip, seen = made_clip(), set()
    for seed in range(20):
        item = PairItem()(clip, 0, np.random.default_rng(seed))
        first = round((float(item["visual"][0, 0, 0]) + 1) * 127.5)
        start = item["start_frame"]
        assert item["visual"].shape == (48, 32, 64)
        assert item["mel"].shape == (1, 80, 52)
        assert np.allclose(item["mel"][0], mel_window(clip.audio, start, 16), atol=1e-6)
        assert (first == start) == bool(item["in_sync"])
        assert item["in_sync"] or abs(first - start) >= 16
        seen.add(float(item["in_sync"]))
    assert seen == {0.0, 1.0}


def test_training_from_shards_ends_resumes_and_gives_one_set_of_weights(tmp_path, monkeypatch):
    shards = shard_urls(write_shards(tmp_path, [[40, 44], [48]]))
    data = Data(train=shards, validation=shards, batch=2, validation_batches=1)
    params = FitParams(max_steps=4, save_every=2, validate_every=4, log_every=2, warmup_steps=0)
    states = []
    for folder, stop_early in (("whole", False), ("parts", True)):
        monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path / folder))
        task, outcome = train("tiny", data, params, World())
        if stop_early:
            for path in (tmp_path / folder).rglob("step-00000004.pt"):
                path.unlink()
            task, outcome = train("tiny", data, params, World())
        assert (outcome.step, outcome.finished) == (4, "max_steps")
        assert set(outcome.metrics) == {"loss", "accuracy", "cosine"}
        states.append(task.syncnet.state_dict())
    whole, parts = states
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
