"""The README's plain reader: every clip once, however many workers read."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, IterableDataset

from pipeline.errors import DecodeError
from pipeline.shards.reader import read_shards
from pipeline.shards.tar import write_shard
from pipeline.shards.training_sample import TrainingSample
from tests.trainers.data.made_shards import write_sample


class Clips(IterableDataset):
    """As the README has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[TrainingSample]:
        yield from read_shards([str(path) for path in sorted(self.folder.rglob("*.tar"))])


def write_tars(folder: Path, lengths: list[list[int]]) -> Path:
    """Write one tar per list of frame counts, with landmarks."""
    for shard, counts in enumerate(lengths):
        samples = [write_sample(folder, 10 * shard + n, count) for n, count in enumerate(counts)]
        for sample in samples:
            landmarks = np.zeros((sample.num_frames, 478, 3), np.float32)
            matrices = np.zeros((sample.num_frames, 2, 3), np.float32)
            np.savez(sample.files["npz"], landmarks=landmarks, matrices=matrices)
        write_shard(folder / "tars" / f"{shard}.tar", samples)
    return folder / "tars"


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("workers", [0, 2, 4])
def test_every_clip_is_read_once_by_any_number_of_workers(tmp_path, workers):
    folder = write_tars(tmp_path, [[20, 21], [22], [23, 24]])
    found = [one.clip_id for one in DataLoader(Clips(folder), None, num_workers=workers)]
    assert len(found) == 5
    assert len(set(found)) == 5


@pytest.mark.parametrize("kept", ["whole samples", "half a header", "half a member", "nothing"])
def test_a_torn_tar_is_an_error_that_names_it_and_no_short_data_set(tmp_path, kept):
    path = write_tars(tmp_path, [[20, 21]]) / "0.tar"
    content = path.read_bytes()
    with tarfile.open(path) as tar:
        second = tar.getmembers()[4].offset
    ends = {"whole samples": second, "half a header": second + 100, "half a member": second + 600}
    path.write_bytes(content[: ends.get(kept, 0)])
    with pytest.raises(DecodeError, match=r"0\.tar: "):
        list(read_shards(str(path)))


def test_a_tier_is_read_alone_and_base_is_all(tmp_path):
    folder = write_tars(tmp_path / "plain", [[20, 21, 22]])
    samples = [write_sample(tmp_path / "tiered", n, 20 + n) for n in range(3)]
    for sample, tier in zip(samples, ("base", "hq", "base"), strict=True):
        facts = {"clip_id": sample.clip_id, "num_frames": sample.num_frames, "tier": tier}
        sample.files["json"].write_text(json.dumps(facts))
        landmarks = np.zeros((sample.num_frames, 478, 3), np.float32)
        matrices = np.zeros((sample.num_frames, 2, 3), np.float32)
        np.savez(sample.files["npz"], landmarks=landmarks, matrices=matrices)
    write_shard(tmp_path / "t.tar", samples)
    tiers = {
        tier: [one.clip_id for one in read_shards(str(tmp_path / "t.tar"), tier)]
        for tier in ("base", "hq")
    }
    assert tiers == {"base": ["clip000", "clip001", "clip002"], "hq": ["clip001"]}
    with pytest.raises(DecodeError, match="`lipforge run shards`"):
        list(read_shards(str(folder / "0.tar"), tier="hq"))
    with pytest.raises(ValueError, match="one of base, hq, silent, listening"):
        list(read_shards(str(folder / "0.tar"), tier="best"))
