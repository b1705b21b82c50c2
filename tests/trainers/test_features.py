"""Precomputed Whisper features: exact to float16, reproducible, never stale."""

import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.digest import file_sha256
from pipeline.engine.cache import LocalCache
from pipeline.engine.manifest import read_table
from pipeline.errors import ParamsError, TooManyFailuresError
from pipeline.media.flac import write_flac
from pipeline.params.curation import Params, RunParams
from pipeline.params.training import FeaturesParams
from pipeline.shards.tar import write_shard
from tests.conftest import ROOT
from tests.trainers.data.made_shards import ramp, write_sample
from tests.worker_copy import arrived, sent
from trainers import features
from trainers.data.clip import DecodedClip
from trainers.data.index import index_shards
from trainers.data.indexed_clips import decode_indexed
from trainers.data.loader import Loader, LoaderConfig
from trainers.data.order import OrderConfig
from trainers.data.shard_urls import shard_urls
from trainers.errors import TrainingDataError
from trainers.frozen import audio_encoders
from trainers.frozen.encode_on_the_fly import EncodeOnTheFly
from trainers.frozen.whisper import WhisperFeatures
from trainers.frozen.whisper_files import WhisperIdentity
from trainers.sidecar import stage as sidecar_stage
from trainers.sidecar.clip_members import clip_members
from trainers.sidecar.front_ends import FRONT_ENDS, FrontEnd
from trainers.sidecar.reader import SidecarFeatures, features_for_loader, stored_features
from trainers.sidecar.stage import make_features

SOURCE = "stand-in:whisper-tiny"
PARAMS = Params(features=FeaturesParams(whisper=SOURCE), run=RunParams(max_failed_fraction=0.5))
LENGTHS = (20, 18, 25)


class Quick(WhisperFeatures):
    """Returns the mean sample per step, in the shape of five layers of width four."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.name, self.sha256, self.scale = SOURCE, {}, 1.0

    def features(self, clips, chunks_at_once=16):
        steps = [torch.from_numpy(clip[: len(clip) // 320 * 320]) for clip in clips]
        means = [one.float().view(-1, 320).mean(dim=1) / 1000 for one in steps]
        return [(self.scale * one[:, None, None]).expand(-1, 5, 4) for one in means]


@pytest.fixture
def quick(monkeypatch, workspace):
    """No encoder, no Ray."""
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    whisper = Quick()
    monkeypatch.setattr(audio_encoders, "load_audio_encoder", lambda source: whisper)
    return whisper


def write_split(folder: Path, split: str, samples) -> None:
    write_shard(folder / "shards" / split / f"{split}-0000-000.tar", samples)


@pytest.fixture(scope="session")
def made_samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    samples = [write_sample(folder, clip, frames) for clip, frames in enumerate(LENGTHS)]
    for number, sample in enumerate(samples):
        write_flac(sample.files["flac"], ramp(LENGTHS[number]) + number, 16_000)
    return samples


@pytest.fixture
def shards(workspace, made_samples):
    write_split(workspace, "train", made_samples[:2])
    write_split(workspace, "val", made_samples[2:])
    return workspace / "shards"


def clips_of(shards):
    index = index_shards(shard_urls(shards))
    for number in range(len(index)):
        yield decode_indexed(index, number)


def digests(folder):
    return {str(p.relative_to(folder)): file_sha256(p) for p in folder.rglob("*") if p.is_file()}


def test_none_writes_an_empty_index_and_imports_nothing_heavy(workspace):
    command = (
        "import sys; from pathlib import Path; from pipeline.params.curation import Params;"
        "from trainers import features; features.run(Params(), Path('shards'), Path('features'));"
        "assert not {'torch', 'transformers', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", command], cwd=workspace, env=path(), check=True)
    assert json.loads((workspace / "features" / "index.json").read_text())["whisper"] == "none"
    with pytest.raises(TrainingDataError, match=r"index\.json: made without .*dvc repro features"):
        SidecarFeatures(workspace / "features")


def path():
    return {"PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_features_read_are_the_encoders_to_float16(workspace, shards, monkeypatch):
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    features.run(PARAMS, shards, workspace / "features")
    read, encode = SidecarFeatures(workspace / "features"), EncodeOnTheFly(SOURCE)
    assert (read.name, read.num_layers, read.width, read.is_stand_in) == (SOURCE, 5, 384, True)
    for clip in clips_of(shards):
        made, expected = read(clip), encode(clip)
        assert made.dtype == torch.float32
        assert made.shape == (2 * clip.num_frames, 5, 384)
        torch.testing.assert_close(made, expected, rtol=2**-11, atol=1e-6)


def test_a_loader_takes_them_as_its_prepare(quick, workspace, shards):
    features.run(PARAMS, shards, workspace / "features")
    index = index_shards(shard_urls(shards))
    read = features_for_loader(PARAMS.features, workspace / "features", SOURCE)
    assert isinstance(read, SidecarFeatures)
    read.require(index.clip_ids.tolist())
    config = LoaderConfig(order=OrderConfig(seed=0, batch=2, windows_per_clip=1), workers=2)

    def item(clip, start, rng):
        return {
            "start": start,
            "clip": int(clip.clip_id[4:]),
            "features": clip.prepared[2 * start, 0],
        }

    for batch in islice(Loader(index, item, config, read).batches(), 5):
        mean = 80 * batch.data["start"] + 19.5 + batch.data["clip"]
        torch.testing.assert_close(batch.data["features"][:, 0], mean / 1000, rtol=2**-11, atol=0)


def test_tars_stand_beside_the_shards_and_hold_plain_arrays(quick, workspace, shards):
    features.run(PARAMS, shards, workspace / "features")
    index = json.loads((workspace / "features" / "index.json").read_text())
    assert [one["name"] for one in index["shards"]] == [
        "train/train-0000-000.tar",
        "val/val-0000-000.tar",
    ]
    assert index["clips"] == {"kept": 3, "rejected": 0, "failed": 0, "quarantined": 0}
    for entry in index["shards"]:
        tar_path = workspace / "features" / entry["name"]
        assert entry["sha256"] == file_sha256(tar_path)
        assert entry["shard_sha256"] == file_sha256(shards / entry["name"])
    with tarfile.open(workspace / "features" / "train" / "train-0000-000.tar") as tar:
        assert tar.getnames() == ["clip000.npy", "clip001.npy"]
        stream = tar.extractfile("clip001.npy")
        array = np.load(io.BytesIO(stream.read()), allow_pickle=False)
    assert (array.shape, array.dtype) == ((36, 5, 4), np.float16)


def test_the_same_shards_give_the_same_bytes(quick, workspace, shards, monkeypatch):
    features.run(PARAMS, shards, workspace / "one")
    monkeypatch.setenv("LIPFORGE_CACHE", str(workspace / "other-cache"))
    features.run(PARAMS, shards, workspace / "two")
    assert digests(workspace / "one") == digests(workspace / "two")


def test_only_what_changed_is_made_again(quick, workspace, shards, made_samples, monkeypatch):
    out = workspace / "features"
    features.run(PARAMS, shards, out)
    before = {p: p.stat().st_mtime_ns for p in out.glob("*/*.tar")}
    encoded = []
    usual = quick.features
    monkeypatch.setattr(quick, "features", lambda clips: encoded.append(1) or usual(clips))
    features.run(PARAMS, shards, out)
    assert not encoded
    assert {p: p.stat().st_mtime_ns for p in out.glob("*/*.tar")} == before
    write_split(workspace, "val", made_samples[1:])  # clip001 is in both: its sound is known
    write_split(workspace, "train", made_samples[:1])
    features.run(PARAMS, shards, out)
    assert not encoded
    assert len(read_table(out / "clips.parquet")) == 3
    (shards / "val" / "val-0000-000.tar").unlink()
    features.run(PARAMS, shards, out)
    assert [p.name for p in out.glob("*/*.tar")] == ["train-0000-000.tar"]


def test_a_damaged_tar_is_written_again(quick, workspace, shards):
    out = workspace / "features"
    features.run(PARAMS, shards, out)
    before = digests(out)
    (out / "train" / "train-0000-000.tar").write_bytes(b"cut off")
    features.run(PARAMS, shards, out)
    assert digests(out) == before


def test_features_of_other_sound_are_refused_whatever_the_name(quick, workspace, shards):
    features.run(PARAMS, shards, workspace / "features")
    read = SidecarFeatures(workspace / "features")
    clip = next(clips_of(shards))
    louder = DecodedClip(clip.clip_id, clip.shard, clip.frames, clip.audio + np.int16(1))
    with pytest.raises(TrainingDataError, match=r"clip000 were made from other .*dvc repro feat"):
        read(louder)
    elsewhere = DecodedClip(clip.clip_id, "renamed.tar", clip.frames, clip.audio)
    assert torch.equal(read(elsewhere), read(clip))
    stranger = DecodedClip("clip999", clip.shard, clip.frames, clip.audio)
    with pytest.raises(TrainingDataError, match=r"train-0000-000\.tar/clip999; run `dvc repro"):
        read(stranger)
    with pytest.raises(TrainingDataError, match="of 1 clips, clip999 for one"):
        read.require(["clip000", "clip999"])


def test_broken_samples_are_counted_and_too_many_stop_the_run(
    quick, workspace, shards, made_samples
):
    broken = write_sample(workspace / "loose", 7, 20)
    broken.files["flac"].write_bytes(b"no flac")
    no_frames = write_sample(workspace / "loose", 8, 20)
    no_frames.files["json"].write_text("{}")
    write_split(workspace, "train", [*made_samples[:2], broken, no_frames])
    features.run(PARAMS, shards, workspace / "features")
    rows = read_table(workspace / "features" / "clips.parquet")
    failed = {row["item_id"]: row["reason"] for row in rows if row["status"] == "failed"}
    assert failed == {
        "clip007": "decode_error",
        "train/train-0000-000.tar/clip008": "decode_error",
    }
    assert len(rows) == 5
    strict = Params(features=PARAMS.features, run=RunParams(max_failed_fraction=0.1))
    with pytest.raises(TooManyFailuresError, match="2 of 5 items failed"):
        features.run(strict, shards, workspace / "features")


def test_a_hidden_state_that_float16_cannot_hold_stops_the_run(quick, workspace, shards):
    quick.scale = 1e6
    with pytest.raises(Exception, match=r"does not fit float16; set features\.whisper to none"):
        features.run(PARAMS, shards, workspace / "features")


def test_another_encoder_than_the_trainers_is_refused(quick, workspace, shards):
    features.run(PARAMS, shards, workspace / "features")
    with pytest.raises(ParamsError, match="was made with stand-in:whisper-tiny, the trainer asks"):
        features_for_loader(PARAMS.features, workspace / "features", "stand-in:whisper-small")
    on_the_fly = features_for_loader(FeaturesParams(), workspace / "features", SOURCE)
    assert on_the_fly == EncodeOnTheFly(SOURCE)


def test_an_item_travels_as_its_sound_and_reader_and_stage_pickle(quick, workspace, shards):
    sounds = clip_members(index_shards(shard_urls(shards)), shards, "flac")
    sound = arrived(sounds[0])
    assert sound.content() == sounds[0].content()
    assert sound.url == ""
    sent(sidecar_stage.Features(SOURCE, WhisperIdentity(SOURCE, {})))
    features.run(PARAMS, shards, workspace / "features")
    read = arrived(SidecarFeatures(workspace / "features"))
    assert read(next(clips_of(shards))).shape == (40, 5, 4)
    assert LocalCache(workspace / ".cache" / "items").root.exists()


@pytest.mark.parametrize("key", ["whisper", "latents"])
def test_an_unknown_network_is_named_with_file_and_key(workspace, shards, key):
    params = Params(features=FeaturesParams(**{key: "bogus"}))
    match = rf"params.yaml: features.{key}: .*'bogus'.*known: none, \w+"
    with pytest.raises(ParamsError, match=match):
        features.run(params, shards, workspace / "features")


class Loudness:
    """Mean of the absolute samples of each video frame, as one layer of width two."""

    name, sha256 = "stand-in:loudness", {"loudness.pt": "a" * 64}

    def to(self, device):
        return self

    def features(self, clips):
        frames = [np.abs(clip[: len(clip) // 640 * 640].astype(np.float32)) for clip in clips]
        means = [torch.from_numpy(one.reshape(-1, 640).mean(axis=1)) for one in frames]
        return [(one / 1000)[:, None, None].expand(-1, 1, 2) for one in means]


def loudness(source):
    return Loudness()


def only_loudness(source, key):
    if source != "quiet":
        raise ParamsError(f"{key}: {source!r}; known: quiet")


LOUDNESS = FrontEnd(
    name="loudness",
    folder="loudness",
    what="loudness",
    steps_per_second=25,
    require_known=only_loudness,
    identity=loudness,
    load=loudness,
)


def test_any_front_end_is_stored_under_its_name_and_read_by_it(quick, workspace, shards):
    out = workspace / "features"
    features.run(PARAMS, shards, out)
    whisper = digests(out)
    make_features(PARAMS, shards, out, LOUDNESS, "quiet")
    assert {name: digests(out)[name] for name in whisper} == whisper, "Whisper's files stay"
    index = json.loads((out / "loudness" / "index.json").read_text())
    facts = [index[name] for name in ("loudness", "layers", "width", "steps_per_second")]
    assert facts == ["stand-in:loudness", 1, 2, 25]
    assert index["weights_sha256"] == Loudness.sha256
    read = stored_features(out, LOUDNESS, "quiet")
    assert (read.is_stand_in, read.width, read.steps_per_second) == (True, 2, 25)
    for clip in clips_of(shards):
        (expected,) = Loudness().features([clip.audio])
        assert read(clip).shape == (clip.num_frames, 1, 2)
        torch.testing.assert_close(read(clip), expected, rtol=2**-11, atol=1e-6)
    assert arrived(read).width == 2


def test_features_of_another_encoder_or_of_none_are_refused_by_key(quick, workspace, shards):
    out = workspace / "features"
    with pytest.raises(ParamsError, match=r"params\.yaml: features\.loudness: 'loud'"):
        make_features(PARAMS, shards, out, LOUDNESS, "loud")
    with pytest.raises(TrainingDataError, match=r"features/loudness/index\.json: no such file"):
        stored_features(out, LOUDNESS, "quiet")
    make_features(PARAMS, shards, out, LOUDNESS, "quiet")
    other = replace(LOUDNESS, identity=lambda source: WhisperIdentity("other", {}))
    with pytest.raises(ParamsError, match=r"features\.loudness: .* asks for other"):
        stored_features(out, other, "quiet")


def test_every_front_end_has_a_key_that_is_none_and_files_of_its_own():
    default = FeaturesParams().model_dump()
    assert all(default[one.name] == "none" for one in FRONT_ENDS)
    folders = [one.folder for one in FRONT_ENDS]
    assert len({*folders, "latents"}) == len(FRONT_ENDS) + 1
