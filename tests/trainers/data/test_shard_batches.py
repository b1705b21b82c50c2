"""Curated shards through the loop."""

from itertools import islice

import torch
from torch import nn

from tests.trainers.data.made_shards import write_shards
from tests.trainers.loop.toy_tasks import made, same, weights, with_
from trainers.data.index import index_shards
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_batches import ShardBatches
from trainers.data.shard_urls import shard_urls
from trainers.data.window_items import WindowItem
from trainers.loop.fit import fit
from trainers.loop.task import Task


class Loudness(Task):
    """Guesses the brightness from the sound."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(16, 1)

    def losses(self, batch, player):
        sound = batch["audio"].float().unflatten(1, (16, 640)).mean(dim=2) / 1e4
        bright = batch["frames"].float().mean(dim=(1, 2, 3, 4)) / 255
        return {"square": (self.generator(sound)[:, 0] - bright).square().mean()}

    def validate(self, batch):
        return self.losses(batch, "generator")


def source_of(folder):
    index = index_shards(shard_urls(str(folder)), min_frames=16)
    order = OrderConfig(seed=3, batch=4, windows_per_clip=2, in_flight_clips=4)

    def loader(rank, size):
        config = LoaderConfig(order=order, rank=rank, world_size=size)
        return Loader(index, WindowItem(), config)

    return ShardBatches(loader)


def test_ranks_share_the_windows_of_a_step_and_keys_name_them(tmp_path):
    source = source_of(write_shards(tmp_path, [[20, 24], [30]]))
    whole = source.batch_at(5, 0, 1)
    halves = [source.batch_at(5, rank, 2) for rank in (0, 1)]
    assert [half["keys"] for half in halves] == [whole["keys"][0::2], whole["keys"][1::2]]
    assert torch.equal(halves[1]["frames"], whole["frames"][1::2])
    shard, rest = whole["keys"][0].split("/")
    assert shard.startswith("train-")
    assert rest.startswith("clip00")
    streamed = [batch["keys"] for batch in islice(source.batches(4, 0, 1), 2)]
    assert streamed[1] == whole["keys"]


def test_a_run_on_shards_resumes_bit_for_bit(tmp_path):
    shards = write_shards(tmp_path, [[20, 24], [30]])
    params = with_(max_steps=6, save_every=2, warmup_steps=0)
    whole, resumed = made(Loudness), made(Loudness)
    fit(whole, source_of(shards), params, tmp_path / "run")
    (tmp_path / "run" / "step-00000006.pt").unlink()
    fit(resumed, source_of(shards), params, tmp_path / "run")
    assert same(weights(resumed), weights(whole))
