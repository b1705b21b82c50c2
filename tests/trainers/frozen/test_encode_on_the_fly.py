"""Features made while loading: one encoder run per clip, windows that fit the frames."""

from itertools import islice

import torch

from tests.trainers.data.made_shards import ramp, write_shards
from tests.worker_copy import sent
from trainers.data.index import index_shards
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_urls import shard_urls
from trainers.frozen.encode_on_the_fly import EncodeOnTheFly
from trainers.frozen.whisper import whisper_windows
from trainers.frozen.whisper_files import load_whisper

SOURCE = "stand-in:whisper-tiny"


def tokens(clip, start, rng):
    return {"start_frame": start, "whisper": whisper_windows(clip.prepared, start)}


def test_every_window_gets_the_tokens_of_its_frames(tmp_path):
    index = index_shards(shard_urls(write_shards(tmp_path, [[30]])))
    config = LoaderConfig(order=OrderConfig(seed=0, batch=2, in_flight_clips=2))
    (features,) = load_whisper(SOURCE).features([ramp(30)])
    assert features.shape == (60, 5, 384)
    for batch in islice(Loader(index, tokens, config, EncodeOnTheFly(SOURCE)).batches(), 4):
        assert batch.data["whisper"].shape == (2, 16, 50, 384)
        for start, made in zip(batch.data["start_frame"], batch.data["whisper"], strict=True):
            assert torch.equal(made, whisper_windows(features, int(start)))


def test_it_travels_to_workers_as_a_name_not_as_weights():
    assert len(sent(EncodeOnTheFly(SOURCE))) < 1000
