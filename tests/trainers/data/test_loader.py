"""Batches from real shards: whole, together, and the same however they are made."""

import logging
import multiprocessing
import subprocess
import sys
import threading
from itertools import islice

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.trainers.data.made_shards import (
    SAMPLES_PER_STEP,
    frame_numbers,
    write_shards,
)
from trainers.data.index import ShardIndex, index_shards
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_urls import shard_urls
from trainers.data.window_items import WindowItem
from trainers.errors import ShardReadError, TooManyBadSamplesError, TrainingDataError

LENGTHS = [[50, 60, 48], [70, 52], [64]]
FRAMES = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), LENGTHS)


@pytest.fixture(scope="module")
def index(folder) -> ShardIndex:
    return index_shards(shard_urls(folder), min_frames=48)


def config(**named) -> LoaderConfig:
    order = {"seed": 5, "batch": 4, "windows_per_clip": 6, "in_flight_clips": 8}
    for key in list(named):
        if key in order:
            order[key] = named.pop(key)
    return LoaderConfig(order=OrderConfig(**order), **named)


def loader(index, make_item=None, **named) -> Loader:
    return Loader(index, make_item or WindowItem(reference="apart"), config(**named))


def item_facts(batch, place):
    """Everything in one item, for comparison."""
    data = batch.data
    return (
        data["clip_id"][place],
        int(data["start_frame"][place]),
        int(data["reference_start_frame"][place]),
        data["frames"][place].numpy().tobytes(),
        data["reference"][place].numpy().tobytes(),
        data["audio"][place].numpy().tobytes(),
    )


def items(batches):
    return [[item_facts(b, place) for place in range(len(b.data["clip_id"]))] for b in batches]


@pytest.fixture(scope="module")
def expected(index):
    return items(islice(loader(index).batches(), 12))


def test_a_window_is_inside_its_clip_and_has_the_frames_of_its_start(index):
    lengths = [n for shard in LENGTHS for n in shard]
    for batch in islice(loader(index).batches(), 40):
        data = batch.data
        assert data["frames"].shape == (4, FRAMES, 3, 64, 64)
        assert data["frames"].dtype == torch.uint8
        for place, clip_id in enumerate(data["clip_id"]):
            clip, start = int(clip_id[-3:]), int(data["start_frame"][place])
            assert 0 <= start <= lengths[clip] - FRAMES
            frames, clips = frame_numbers(data["frames"][place].numpy())
            assert frames == list(range(start, start + FRAMES))
            assert set(clips) == {clip}


def test_sound_and_picture_of_a_window_belong_together(index):
    for batch in islice(loader(index).batches(), 20):
        audio = batch.data["audio"].numpy()
        assert audio.shape == (4, FRAMES * 640)
        assert audio.dtype == np.int16
        first = audio[:, 0] * SAMPLES_PER_STEP / 640
        shown = [frame_numbers(frames.numpy())[0][0] for frames in batch.data["frames"]]
        assert first.tolist() == shown
        ramps = audio - audio[:, :1] == np.arange(FRAMES * 640) // SAMPLES_PER_STEP
        assert ramps.all()


def test_a_reference_shares_no_frame_with_its_window(index):
    for batch in islice(loader(index).batches(), 40):
        data = batch.data
        for place, clip_id in enumerate(data["clip_id"]):
            here, there = int(data["start_frame"][place]), int(data["reference_start_frame"][place])
            assert abs(here - there) >= FRAMES
            frames, clips = frame_numbers(data["reference"][place].numpy())
            assert frames == list(range(there, there + FRAMES))
            assert set(clips) == {int(clip_id[-3:])}


def test_batch_at_is_a_pure_function_of_the_step(index, expected):
    made = loader(index)
    assert items([made.batch_at(7), made.batch_at(2), made.batch_at(7)]) == [
        expected[7],
        expected[2],
        expected[7],
    ]


@pytest.mark.parametrize("first", [1, 5, 9])
def test_a_resume_continues_with_the_next_batch(index, expected, first):
    resumed = list(islice(loader(index).batches(first_step=first), 12 - first))
    assert [batch.step for batch in resumed] == list(range(first, 12))
    assert items(resumed) == expected[first:]


@pytest.mark.parametrize("world_size", [2, 4])
def test_every_world_size_gets_the_same_batches(index, expected, world_size):
    ranks = [
        items(islice(loader(index, rank=rank, world_size=world_size).batches(), 6))
        for rank in range(world_size)
    ]
    for step in range(6):
        whole = [ranks[place % world_size][step][place // world_size] for place in range(4)]
        assert whole == expected[step]


SPAWN = pytest.param(2, "spawn", marks=pytest.mark.slow)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(
    ("workers", "kind"),
    [(1, "thread"), (3, "thread"), (1, "fork"), (2, "fork"), (3, "fork"), SPAWN],
)
def test_any_number_of_workers_gives_the_same_batches(index, expected, workers, kind):
    made = loader(index, workers=workers, worker_kind=kind)
    random_state = torch.random.get_rng_state()
    batches = made.batches(first_step=2)
    got = list(islice(batches, 4))
    batches.close()
    assert items(got) == expected[2:6]
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert not multiprocessing.active_children()
    assert not [one for one in threading.enumerate() if one.name.startswith("loader")]


def test_every_clip_is_decoded_once_for_all_its_windows(index, monkeypatch):
    import trainers.data.indexed_clips as module

    decoded = []
    real = module.decode_clip
    monkeypatch.setattr(module, "decode_clip", lambda *args: decoded.append(args[0]) or real(*args))
    made = loader(index, batch=2, in_flight_clips=2, windows_per_clip=6)
    list(islice(made.batches(), 6 * 15))
    assert len(decoded) <= 2 * 15 + 2
    assert len(made._reader._decoded) <= 2


def test_a_set_that_fits_into_the_slots_is_decoded_only_once(index, monkeypatch):
    import trainers.data.indexed_clips as module

    decoded = []
    real = module.decode_clip
    monkeypatch.setattr(module, "decode_clip", lambda *args: decoded.append(args[0]) or real(*args))
    list(islice(loader(index, in_flight_clips=8).batches(), 60))
    assert len(decoded) == len(index)


def with_a_broken(tmp_path, clip, member="mp4"):
    """Shards of six clips, one of whose members is noise of the same length."""
    folder = write_shards(tmp_path, LENGTHS)
    for path in folder.glob("*.tar"):
        found = index_shards([str(path)])
        for number, clip_id in enumerate(found.clip_ids):
            if clip_id == clip:
                offset, size = found.spans[number, ("mp4", "flac").index(member)]
                content = bytearray(path.read_bytes())
                content[offset : offset + size] = np.random.default_rng(0).bytes(size)
                path.write_bytes(content)
    return index_shards(shard_urls(folder), min_frames=48)


@pytest.mark.parametrize("member", ["mp4", "flac"])
def test_a_broken_sample_is_counted_with_its_key_and_replaced_in_the_open(tmp_path, caplog, member):
    broken = with_a_broken(tmp_path, "clip001", member)
    with caplog.at_level(logging.WARNING):
        made = list(islice(loader(broken, max_bad_samples=1).batches(), 30))
    assert list(made[-1].bad) == ["train-0000-000.tar/clip001"]
    assert all("clip001" not in batch.data["clip_id"] for batch in made)
    assert caplog.text.count("train-0000-000.tar/clip001") == 1
    assert items(made[20:22]) == items(
        islice(loader(broken, max_bad_samples=1).batches(first_step=20), 2)
    )


@pytest.mark.parametrize("kind", ["thread", "fork"])
def test_workers_report_and_replace_broken_samples_alike(tmp_path, kind):
    broken = with_a_broken(tmp_path, "clip001")
    alone = list(islice(loader(broken, max_bad_samples=1).batches(), 12))
    batches = loader(broken, max_bad_samples=1, workers=2, worker_kind=kind).batches()
    together = list(islice(batches, 12))
    batches.close()
    assert items(together) == items(alone)
    assert together[-1].bad == alone[-1].bad


@pytest.mark.parametrize(("workers", "kind"), [(0, "thread"), (2, "thread"), (2, "fork")])
def test_more_broken_samples_than_allowed_stop_the_run_by_name(tmp_path, workers, kind):
    broken = with_a_broken(tmp_path, "clip001")
    batches = loader(broken, max_bad_samples=0, workers=workers, worker_kind=kind).batches()
    with pytest.raises(TooManyBadSamplesError, match=r"train-0000-000\.tar/clip001"):
        list(islice(batches, 60))


def test_nothing_but_broken_samples_ends_at_once(tmp_path):
    folder = write_shards(tmp_path, [[50]])
    (path,) = folder.glob("*.tar")
    index = index_shards([str(path)])
    content = bytearray(path.read_bytes())
    offset, size = index.spans[0, 0]
    content[offset : offset + size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(TooManyBadSamplesError, match="clip000"):
        loader(index, max_bad_samples=100).batch_at(0)


def test_a_shard_that_vanishes_stops_the_run_under_its_name(tmp_path):
    folder = write_shards(tmp_path, [[50], [50]])
    index = index_shards(shard_urls(folder))
    (folder / "train-0001-000.tar").unlink()
    with pytest.raises(ShardReadError, match="train-0001"):
        list(islice(loader(index).batches(), 20))


def test_broken_samples_of_the_index_count_too(index):
    import dataclasses

    broken = dataclasses.replace(index, bad={"s.tar/x": "no member flac"})
    with pytest.raises(TooManyBadSamplesError, match="no member flac"):
        loader(broken, max_bad_samples=0)
    assert loader(broken, max_bad_samples=1).batch_at(0).bad == broken.bad


def test_prepare_runs_once_per_decode_and_serves_every_window(index):
    made = []

    def prepare(clip):
        made.append(clip.clip_id)
        return float(clip.audio.sum(dtype=np.int64))

    def item(clip, start, rng):
        return {"clip_id": clip.clip_id, "sum": clip.prepared, "draw": rng.random()}

    batches = Loader(index, item, config(in_flight_clips=8), prepare).batches()
    sums: dict[str, set[float]] = {}
    for batch in islice(batches, 30):
        for clip_id, total in zip(batch.data["clip_id"], batch.data["sum"], strict=True):
            sums.setdefault(clip_id, set()).add(total)
    assert all(len(values) == 1 for values in sums.values())
    assert sorted(made) == sorted(sums)


def test_frames_can_be_scaled_while_decoding(index):
    batch = loader(index, size_px=32).batch_at(0)
    assert batch.data["frames"].shape == (4, FRAMES, 3, 32, 32)


def test_the_whole_sound_of_a_clip_can_be_had(index):
    batch = loader(index, WindowItem(audio="clip")).batch_at(0)
    lengths = [len(audio) for audio in batch.data["audio"]]
    assert lengths == [640 * int(n) for n in batch.data["num_frames"]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"world_size": 3}, "multiple"),
        ({"rank": 1}, "rank 1"),
        ({"workers": 5}, "workers"),
        ({"prefetch_steps": 0}, "prefetch_steps"),
        ({"window_frames": 49}, "min_frames"),
    ],
)
def test_impossible_settings_are_refused_with_the_fix(index, wrong, message):
    with pytest.raises(TrainingDataError, match=message):
        loader(index, **wrong)


FORKS_WHILE_OPENCV_HAS_THREADS = """
import os, cv2, numpy as np
from trainers.data import loader
cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((3000, 3000), np.uint8), (31, 31), 5)
with loader._no_threads_to_inherit():
    child = os.fork()
if not child:
    loader._one_thread(0)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert cv2.getNumThreads() == 4
"""


def test_a_forked_worker_does_not_wait_for_threads_of_opencv_that_only_its_parent_has():
    command = [sys.executable, "-c", FORKS_WHILE_OPENCV_HAS_THREADS]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == 0
