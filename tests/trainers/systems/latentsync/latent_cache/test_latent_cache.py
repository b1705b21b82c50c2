"""Stored latents: those of the shards' pictures, and a step from them is the step from pixels."""

import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.engine.command import item_key
from pipeline.engine.manifest import read_table
from pipeline.errors import DecodeError, ParamsError, WeightsError
from pipeline.params.curation import Params, RunParams
from pipeline.params.fit import FitParams
from pipeline.params.training import AugmentationParams, FeaturesParams, LdmProfile
from pipeline.shards.tar import write_shard
from tests.trainers.data.made_shards import write_sample
from tests.worker_copy import arrived, sent
from trainers import features
from trainers.data import clip as clips
from trainers.data.index import index_shards
from trainers.data.indexed_clips import decode_indexed
from trainers.data.pixel_range import signed_from_array
from trainers.data.shard_urls import shard_urls
from trainers.errors import TrainingDataError
from trainers.frozen import registry as frozen
from trainers.loop.fit import RunOptions
from trainers.loop.validation import seed_batch
from trainers.processes.world import World
from trainers.sidecar.clip_members import clip_members
from trainers.systems.latentsync.configs import STAGES, UNetConfig
from trainers.systems.latentsync.latent_cache import stage as stage_module
from trainers.systems.latentsync.latent_cache.admission import with_latents
from trainers.systems.latentsync.latent_cache.reader import SidecarLatents, WithLatents
from trainers.systems.latentsync.latent_cache.stage import LatentsOfClips, encoded_clip
from trainers.systems.latentsync.training import (
    LdmShards,
    new_task,
    run_folder,
    train,
    training_source,
)
from trainers.talking_face.masks import keep_mask

KL, TAESD = "stand-in:sd-vae-ft-mse", "stand-in:taesd"
NO_PIXEL_LOSS = {"sync_weight": 0.0, "lpips_weight": 0.0, "trepa_weight": 0.0}
HALF = 2**-10
"""Relative error of a sum of two numbers rounded to float16."""


@pytest.fixture(autouse=True)
def small_stage(monkeypatch, workspace):
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    unet = UNetConfig(widths=(32, 32, 32, 32), motion="none")
    monkeypatch.setitem(STAGES, "test", replace(STAGES["tiny"], unet=unet, resolution_px=64))


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    return [write_sample(folder, number, frames) for number, frames in enumerate((16, 20))]


@pytest.fixture
def shards(workspace, samples):
    write_shard(workspace / "shards" / "train" / "train-0000-000.tar", samples)
    return workspace / "shards"


def params_of(vae, size_px=64):
    return Params(
        features=FeaturesParams(latents=vae, latents_px=size_px),
        run=RunParams(max_failed_fraction=0.5),
    )


def profile_of(vae=KL, **changes):
    base = {"stage": "test", "vae": vae, "whisper": "stand-in:whisper-tiny", "frames": 4}
    base |= {"batch": 2, "crop_jitter_px": 0.0, "augmentation": AugmentationParams()}
    base |= {"sample_clips": 0, "validation_batches": 1, "lpips": "stand-in:lpips-vgg"}
    return LdmProfile(**{**base, **NO_PIXEL_LOSS, **changes})


def heard(clip):
    """Stands for Whisper's features."""
    rng = np.random.default_rng(clip.num_frames)
    return torch.from_numpy(rng.standard_normal((2 * clip.num_frames, 5, 384), np.float32))


def stored(workspace, shards, vae=KL):
    features.run(params_of(vae), shards, workspace / "features")
    asked = FeaturesParams(latents=vae, latents_px=64)
    return with_latents(heard, asked, workspace / "features", profile_of(vae))


def batch_of(profile, shards, prepare):
    batch = training_source(profile, index_shards(shard_urls(shards)), prepare).batch_at(0, 0, 1)
    return seed_batch(batch, FitParams(), 0, World())


@pytest.mark.parametrize(("vae", "planes"), [(KL, 4), (TAESD, 2)])
def test_tars_beside_the_shards_hold_the_moments_of_plain_and_masked_frames(
    workspace, shards, vae, planes
):
    stored(workspace, shards, vae)
    folder = workspace / "features" / "latents"
    index = json.loads((folder / "index.json").read_text())
    assert [one["name"] for one in index["shards"]] == ["train/train-0000-000.tar"]
    assert (index["latents"], index["size_px"], index["planes"]) == (vae, 64, planes)
    with tarfile.open(folder / "train" / "train-0000-000.tar") as tar:
        assert tar.getnames() == ["clip000.npy", "clip001.npy"]
        stream = tar.extractfile("clip001.npy")
        array = np.load(io.BytesIO(stream.read()), allow_pickle=False)
    assert (array.shape, array.dtype) == ((20, planes, 4, 8, 8), np.float16)
    clip, network = decode_indexed(index_shards(shard_urls(shards)), 1), frozen.vae(vae).network
    pictures = signed_from_array(clip.frames)
    with torch.no_grad():
        plain, masked = network.moments(pictures), network.moments(pictures * keep_mask(64))
    wanted = [one for one in (plain[0], masked[0], plain[1], masked[1]) if one is not None]
    made = torch.from_numpy(array).float()
    torch.testing.assert_close(made, torch.stack(wanted, 1), rtol=2**-11, atol=1e-5)


@pytest.mark.parametrize("vae", [KL, TAESD])
@pytest.mark.parametrize("learning", [True, False])
def test_a_step_from_stored_latents_is_the_step_from_pixels(workspace, shards, vae, learning):
    profile = profile_of(vae, token_noise=0.1)
    task = new_task(profile)
    from_pixels = task._prepare(batch_of(profile, shards, heard), learning)
    batch = batch_of(profile, shards, stored(workspace, shards, vae))
    from_latents = task._prepare(batch, learning)
    for name in ("noise", "timesteps", "tokens"):
        assert torch.equal(getattr(from_latents, name), getattr(from_pixels, name)), name
    for name in ("clean", "condition_latents"):
        made, wanted = getattr(from_latents, name), getattr(from_pixels, name)
        torch.testing.assert_close(made, wanted, rtol=HALF, atol=HALF)


def test_losses_are_those_from_pixels_to_rounding(workspace, shards):
    profile = profile_of(prediction="x0", hole_loss=True)
    task = new_task(profile)
    wanted = task.losses(batch_of(profile, shards, heard), "unet")
    batch = batch_of(profile, shards, stored(workspace, shards))
    made = task.losses(batch, "unet")
    assert made.keys() == wanted.keys()
    torch.testing.assert_close(made["clean"], wanted["clean"], rtol=1e-3, atol=1e-6)


def test_the_video_is_decoded_only_where_a_loss_looks_at_pixels(workspace, shards, monkeypatch):
    prepare = stored(workspace, shards)
    looking = batch_of(profile_of(lpips_weight=0.1), shards, prepare)
    assert looking["frames"].shape == (2, 4, 3, 64, 64)
    monkeypatch.setattr(clips, "decode_video", lambda *_: pytest.fail("decoded"))
    blind = batch_of(profile_of(), shards, prepare)
    assert blind["frames"].shape == (2, 4, 3, 0, 0)
    assert torch.equal(blind["latents"], looking["latents"])
    assert torch.equal(blind["start_frame"], looking["start_frame"])
    assert blind["reference_latents"].shape == (2, 4, 2, 4, 8, 8)
    assert not torch.equal(blind["latents"][:, :, 0::2], blind["reference_latents"])


def test_a_run_trains_and_validates_on_them_in_a_folder_of_its_own(workspace, shards, monkeypatch):
    monkeypatch.setenv("LIPFORGE_TRAINING", str(workspace / "training"))
    fit = FitParams(max_steps=1, validate_every=1, learning_rate=1e-3)
    profile, urls = profile_of(fit=fit, sample_clips=1), shard_urls(shards)
    plain = LdmShards(train=urls, validation=urls)
    cached = replace(plain, latents=True)
    folder = run_folder(profile, cached)
    assert folder != run_folder(profile, plain)
    prepare = stored(workspace, shards)
    _, result = train(profile, cached, World(), RunOptions(), folder, prepare)
    assert result.step == 1
    assert {"clean", "mouth_psnr_db"} <= set(result.metrics)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"augmentation": AugmentationParams(flip=0.5)},
            r"ion\.flip: 0\.5.*to 0, or feat",
        ),
        ({"augmentation": AugmentationParams(h264=0.1)}, r"augmentation\.h264: 0\.1"),
        ({"crop_jitter_px": 0.5}, r"params\.yaml: train_ldm\.crop_jitter_px: 0\.5, but features"),
        ({"vae": TAESD}, r"index\.json was made with stand-in:sd-vae-ft-mse, train_ldm\.vae is"),
        ({"stage": "tiny"}, r"features\.latents_px: .*index\.json was made of 64 px.* 256 px; set"),
    ],
)
def test_a_profile_whose_latents_would_be_others_is_refused(workspace, shards, changes, message):
    features.run(params_of(KL), shards, workspace / "features")
    asked = FeaturesParams(latents=KL, latents_px=64)
    with pytest.raises(ParamsError, match=message):
        with_latents(heard, asked, workspace / "features", profile_of(**changes))
    kept = with_latents(heard, FeaturesParams(), workspace / "features", profile_of(**changes))
    assert kept is heard


def test_latents_of_another_video_or_mask_are_refused(workspace, shards, samples, monkeypatch):
    prepare = stored(workspace, shards)
    other = write_sample(workspace / "loose", 1, 20)
    other.files["mp4"].write_bytes(samples[0].files["mp4"].read_bytes())
    write_shard(shards / "train" / "train-0000-000.tar", [samples[0], other])
    with pytest.raises(TrainingDataError, match=r"latents of clip001 were made.*dvc repro feat"):
        batch_of(profile_of(), shards, prepare)
    stranger = write_sample(workspace / "loose", 9, 20)
    write_shard(shards / "train" / "train-0000-000.tar", [stranger])
    with pytest.raises(TrainingDataError, match=r"no latents of .*clip009 \(params\.yaml, feat"):
        batch_of(profile_of(), shards, prepare)
    index = workspace / "features" / "latents" / "index.json"
    index.write_text(index.read_text().replace('"mask_sha256": "', '"mask_sha256": "0'))
    with pytest.raises(TrainingDataError, match="made with another mask; run `dvc repro feat"):
        with_latents(heard, params_of(KL).features, workspace / "features", profile_of())
    with pytest.raises(TrainingDataError, match=r"index\.json: no such file .*features\.latents"):
        SidecarLatents(str(workspace / "elsewhere"))


def test_a_video_that_does_not_decode_is_counted_and_a_bad_sample(workspace, shards, samples):
    broken = write_sample(workspace / "loose", 1, 20)
    broken.files["mp4"].write_bytes(b"no mp4")
    write_shard(shards / "train" / "train-0000-000.tar", [samples[0], broken])
    prepare = stored(workspace, shards)
    rows = read_table(workspace / "features" / "latents" / "clips.parquet")
    assert [row["status"] for row in rows] == ["kept", "failed"]
    clip = decode_indexed(index_shards(shard_urls(shards)), 1, 64, pictures=False)
    with pytest.raises(DecodeError, match="no latents: "):
        prepare(clip)


def test_only_other_videos_are_encoded_again_and_none_removes_all(workspace, shards, monkeypatch):
    folder, encoded = workspace / "features", []
    monkeypatch.setattr(
        stage_module, "encoded_clip", lambda *args: encoded.append(1) or encoded_clip(*args)
    )
    for _ in range(2):
        features.run(params_of(TAESD), shards, folder)
    assert len(encoded) == 2
    features.run(params_of(TAESD, size_px=32), shards, folder)
    assert len(encoded) == 4
    assert json.loads((folder / "latents" / "index.json").read_text())["size_px"] == 32
    features.run(Params(), shards, folder)
    assert [path.name for path in folder.rglob("*")] == ["index.json"]


def test_frames_go_through_the_autoencoder_a_few_at_a_time(monkeypatch):
    network, sizes = frozen.vae(TAESD).network, []
    frames = np.random.default_rng(0).integers(0, 255, (10, 3, 32, 32)).astype(np.uint8)
    whole = encoded_clip(network, frames)
    monkeypatch.setattr(stage_module, "FRAMES_AT_ONCE", 4)
    moments = network.moments
    monkeypatch.setattr(network, "moments", lambda x: sizes.append(len(x)) or moments(x))
    assert np.allclose(encoded_clip(network, frames), whole, atol=1e-3)
    assert sizes == [4, 4, 4, 4, 2, 2]


def test_the_key_depends_on_video_autoencoder_size_and_mask(shards, monkeypatch):
    one, other = clip_members(index_shards(shard_urls(shards)), shards, "mp4")
    keys = {
        item_key(LatentsOfClips(KL, 64), one),
        item_key(LatentsOfClips(KL, 64), replace(one, span=other.span)),
        item_key(LatentsOfClips(TAESD, 64), one),
        item_key(LatentsOfClips(KL, 32), one),
    }
    monkeypatch.setattr(stage_module, "mask_sha256", lambda size_px: "another")
    keys.add(item_key(LatentsOfClips(KL, 64), one))
    assert len(keys) == 5


def test_an_autoencoder_without_weights_to_run_or_unknown_is_refused():
    with pytest.raises(ParamsError, match=r"features\.latents: pixels-8 only rearranges"):
        LatentsOfClips("pixels-8", 64)
    with pytest.raises(ParamsError, match=r"'vae'; known: none, sd-vae-ft-mse, .*blocks$"):
        LatentsOfClips("vae", 64)


def test_a_latent_that_float16_cannot_hold_stops_the_run(shards, monkeypatch):
    too_large = np.full((16, 2, 4, 8, 8), np.inf, np.float16)
    monkeypatch.setattr(stage_module, "encoded_clip", lambda *_: too_large)
    with pytest.raises(WeightsError, match=r"does not fit float16; set features\.latents"):
        features.run(params_of(TAESD), shards, shards / "features")


def test_stage_and_reader_pickle(workspace, shards):
    sent(LatentsOfClips(KL, 64))
    prepare = stored(workspace, shards)
    clip = decode_indexed(index_shards(shard_urls(shards)), 0, 64)
    copied = arrived(SidecarLatents(prepare.latents.folder))
    assert isinstance(prepare, WithLatents)
    assert torch.equal(copied(clip), prepare(clip).latents)
