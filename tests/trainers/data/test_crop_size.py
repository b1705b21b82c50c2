"""Pictures that a network would have to enlarge."""

import json

import pytest

from pipeline.shards.tar import write_shard
from tests.trainers.data.made_shards import SIZE_PX, write_sample, write_shards
from trainers.data.crop_size import require_crops, too_small
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls
from trainers.errors import TrainingDataError


def index_of(folder, sizes):
    """One clip per size that its JSON tells; None: it tells none."""
    samples = []
    for clip, size_px in enumerate(sizes):
        sample = write_sample(folder / "loose", clip, 20)
        facts = json.loads(sample.files["json"].read_text())
        if size_px is not None:
            sample.files["json"].write_text(json.dumps({**facts, "clip": {"crop_px": size_px}}))
        samples.append(sample)
    write_shard(folder / "shards" / "train-0000-000.tar", samples)
    return index_shards(shard_urls(folder / "shards"))


def test_crops_smaller_than_the_networks_are_named_with_file_key_and_fix(tmp_path):
    index = index_of(tmp_path, [512, 256, 256])
    assert index.crop_px.tolist() == [512, 256, 256]
    with pytest.raises(TrainingDataError) as caught:
        require_crops(index, 512, "train_ldm.stage: stage2_512")
    for part in (
        "train-0000-000.tar: 2 of 3 clips too small, such as clip001",
        "faces.crop_px was 256, the network wants 512",
        "set faces.crop_px: 512 and run `dvc repro shards`",
        "train_ldm.stage: stage2_512",
    ):
        assert part in str(caught.value)


def test_larger_crops_are_scaled_down_without_a_word(tmp_path):
    assert too_small(index_of(tmp_path, [512, 256]), 256) == ""


def test_of_shards_that_do_not_tell_their_size_a_picture_is_looked_at(tmp_path):
    index = index_shards(shard_urls(write_shards(tmp_path, [[20]])))
    assert index.crop_px.tolist() == [0]
    assert too_small(index, SIZE_PX) == ""
    assert f"faces.crop_px was {SIZE_PX}, the network wants 128" in too_small(index, 128)
