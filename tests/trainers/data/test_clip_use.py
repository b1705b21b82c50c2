"""Training draws from good seconds and from the wanted tier, and from the same batches without."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ParamsError
from pipeline.params.clip_use import ClipUseParams, SecondsParams
from pipeline.shards.labels import LABELS
from pipeline.shards.tar import PackedSample, write_shard
from tests.trainers.data.made_shards import frame_numbers, ramp, write_sample
from trainers.data.clip_use import good_spans, index_training, require_whole_clips
from trainers.data.index import index_shards
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_urls import shard_urls
from trainers.data.window_items import WindowItem
from trainers.errors import TrainingDataError

FRAMES = 8
"""Of a window."""
COVERED = (25, 50)
"""The bad second of the first clip."""
UNCOVERED = ClipUseParams(seconds=SecondsParams(max_cover=0.5))


def labelled(folder: Path, clip: int, num_frames: int, tier: str, covered: range) -> PackedSample:
    sample = write_sample(folder, clip, num_frames)
    arrays = {name: np.full(num_frames, 0.9, np.float32) for name in LABELS}
    arrays["cover"] = np.zeros(num_frames, np.float32)
    arrays["cover"][list(covered)] = 1
    npz = io.BytesIO()
    np.savez_compressed(npz, landmarks=np.zeros((num_frames, 4, 3), np.float32), **arrays)
    sample.files["npz"].write_bytes(npz.getvalue())
    facts = {"clip_id": sample.clip_id, "num_frames": num_frames, "tier": tier}
    sample.files["json"].write_text(json.dumps(facts))
    return sample


@pytest.fixture(scope="module")
def urls(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("labelled")
    first = [
        labelled(folder / "loose", 0, 85, "base", range(*COVERED)),
        labelled(folder / "loose", 1, 40, "hq", range(0)),
    ]
    second = [labelled(folder / "loose", 2, 30, "hq", range(30))]
    write_shard(folder / "train" / "train-0000-000.tar", first)
    write_shard(folder / "train" / "train-0001-000.tar", second)
    return shard_urls(folder / "train")


def batches(index, steps=40, **options):
    order = OrderConfig(seed=0, batch=2, windows_per_clip=4, in_flight_clips=2)
    config = LoaderConfig(order=order, window_frames=FRAMES, **options)
    loader = Loader(index, WindowItem(frames=FRAMES, reference="apart"), config)
    return [loader.batch_at(step).data for step in range(steps)]


def test_the_defaults_give_the_index_and_the_batches_of_before(urls):
    before, now = index_shards(urls), index_training(urls, 16, ClipUseParams())
    assert now is before or now.fingerprint() == before.fingerprint()
    assert [one["start_frame"].tolist() for one in batches(before)] == [
        one["start_frame"].tolist() for one in batches(now)
    ]


def test_no_window_and_no_reference_lies_in_a_bad_second_and_the_clip_stays(urls):
    index = index_training(urls, 3 * FRAMES - 1, UNCOVERED)
    seen = set()
    for batch in batches(index):
        for kind in ("frames", "reference"):
            for window, audio in zip(batch[kind], batch["audio"], strict=True):
                numbers, clips = frame_numbers(window.numpy())
                seen |= {(clip, frame) for clip, frame in zip(clips, numbers, strict=True)}
                if kind == "frames":
                    sound = slice(numbers[0] * 640, (numbers[-1] + 1) * 640)
                    assert np.array_equal(audio.numpy(), ramp(85)[sound])
    assert {frame for clip, frame in seen if clip == 0} <= {*range(25), *range(50, 85)}
    assert {clip for clip, _ in seen} == {0, 1}
    assert max(frame for clip, frame in seen if clip == 0) > 75, "behind the bad second, too"


def test_the_start_frame_of_an_item_counts_from_the_clips_first_frame(urls):
    for batch in batches(index_training(urls, 3 * FRAMES - 1, UNCOVERED)):
        for window, start in zip(batch["frames"], batch["start_frame"].tolist(), strict=True):
            assert frame_numbers(window.numpy())[0][0] == start


def test_any_number_of_workers_gives_the_same_windows(urls):
    index = index_training(urls, 3 * FRAMES - 1, UNCOVERED)
    order = OrderConfig(seed=0, batch=2, windows_per_clip=4, in_flight_clips=2)
    item = WindowItem(frames=FRAMES, reference="apart")
    config = LoaderConfig(order=order, window_frames=FRAMES, workers=2)
    threaded = Loader(index, item, config).batches()
    for alone in batches(index, steps=6):
        assert next(threaded).data["start_frame"].tolist() == alone["start_frame"].tolist()
    threaded.close()


def test_skipping_makes_another_fingerprint_and_names_what_has_no_good_run(urls):
    index = index_training(urls, 16, UNCOVERED)
    assert index.fingerprint() != index_shards(urls).fingerprint()
    assert index.skipped == ("train-0001-000.tar/clip002",)
    parts = [(index.clip_ids[n], index.first_frame[n], index.num_frames[n]) for n in range(3)]
    assert parts == [("clip000", 0, 25), ("clip000", 50, 35), ("clip001", 0, 40)]
    assert len({index.key(n) for n in range(3)}) == 3


def test_a_tier_leaves_the_others_out(urls):
    index = index_training(urls, 16, ClipUseParams(tier="hq"))
    assert index.clip_ids.tolist() == ["clip001", "clip002"]
    assert index.clips_per_shard == [1, 1]


def test_shards_without_tiers_or_labels_stop_with_the_fix(tmp_path):
    write_shard(tmp_path / "train" / "a.tar", [write_sample(tmp_path / "loose", 0, 40)])
    bare = shard_urls(tmp_path / "train")
    with pytest.raises(TrainingDataError, match="no tier; `lipforge run shards`"):
        index_training(bare, 16, ClipUseParams(tier="hq"))
    with pytest.raises(TrainingDataError, match=r"no label cover.*`lipforge run shards`"):
        index_training(bare, 16, UNCOVERED)


def test_a_limit_that_leaves_nothing_stops(urls):
    nothing = ClipUseParams(seconds=SecondsParams(min_sync=0.95))
    with pytest.raises(TrainingDataError, match="weaken a limit"):
        index_training(urls, 16, nothing)


def test_a_second_is_judged_by_its_mean_and_the_last_one_may_be_short():
    cover = np.zeros(60, np.float32)
    cover[0:12] = 1
    cover[52:60] = 1
    limits = SecondsParams(max_cover=0.5)
    assert good_spans({"cover": cover}, limits) == [(0, 50)]
    assert good_spans({"cover": cover}, SecondsParams(max_cover=0.4)) == [(25, 50)]


def test_stored_features_of_whole_clips_and_skipped_seconds_exclude_each_other():
    with pytest.raises(ParamsError, match=r"train_ldm\.profiles\.tiny\.data\.seconds"):
        require_whole_clips(UNCOVERED, True, "train_ldm.profiles.tiny", "features.whisper")
    require_whole_clips(UNCOVERED, False, "train_ldm.profiles.tiny", "features.whisper")
    require_whole_clips(ClipUseParams(), True, "train_ldm.profiles.tiny", "features.whisper")
