"""The bench's own networks, and the rule that cuts a set of clips."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.claims.errors import ClaimsError
from benchmarks.claims.shard_sets import (
    MAX_OFFSET_FRAMES,
    by_latentsync,
    cached_files,
    check_split,
    own_shift,
)
from benchmarks.claims.temporal_encoder import FEATURES, FRAMES, TemporalEncoder, _spoiled
from benchmarks.claims.wav2lip_syncnet import Wav2LipSyncNet
from pipeline.engine.cache import open_cache
from pipeline.params.curation import SelectParams
from pipeline.selection.rules import split_of
from pipeline.tables.rows import Selected, SyncScore
from pipeline.tables.run_tables import MeasuredClip
from tests.stages.fake_run import clip
from trainers.systems.latentsync.losses.trepa import trepa_loss
from trainers.systems.stable_syncnet.configs import CONFIGS

SCORE = SyncScore(
    clip_id="c",
    judge="landmark",
    mode="masked",
    offset_frames=6,
    offset_subframe=6.1,
    confidence=1.0,
    min_distance=1.0,
    probability=0.9,
)


@pytest.mark.parametrize("name", ["tiny", "tiny_5_frames", "tiny_25_frames"])
def test_wav2lips_network_embeds_the_same_inputs_as_unit_vectors(name):
    config = CONFIGS[name]
    network = Wav2LipSyncNet(config)
    with torch.no_grad():
        vision, sound = network(
            torch.rand(3, *config.visual_shape), torch.rand(3, *config.mel_shape)
        )
    assert vision.shape == sound.shape == (3, config.embedding_size)
    assert torch.allclose(vision.norm(dim=1), torch.ones(3), atol=1e-5)
    assert min(float(vision.min()), float(sound.min())) >= 0


def test_the_temporal_encoder_takes_what_trepa_gives_and_passes_gradients():
    video = torch.rand(2, 3, FRAMES, 64, 64, requires_grad=True)
    loss = trepa_loss(video, torch.rand(2, 3, FRAMES, 64, 64), TemporalEncoder())
    loss.mean().backward()
    assert video.grad is not None
    assert float(video.grad.abs().sum()) > 0
    assert TemporalEncoder()(video).shape == (2, FEATURES)


def test_each_way_to_spoil_a_window_keeps_its_shape_and_the_first_changes_nothing():
    window = np.random.default_rng(0).random((FRAMES, 3, 8, 8)).astype(np.float32)
    made = [_spoiled(window, kind, np.random.default_rng(1)) for kind in range(4)]
    assert all(one.shape == window.shape and one.dtype == np.float32 for one in made)
    assert np.array_equal(made[0], window)
    assert np.array_equal(np.sort(made[1], axis=0), np.sort(window, axis=0))
    assert not np.array_equal(made[1], window)
    assert (made[2] == window[0]).all()
    assert not np.array_equal(made[3], window)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"offset_frames": -6}, True),
        ({"offset_frames": 7}, False),
        ({"probability": 0.79}, False),
        ({"judge": "syncnet", "probability": None, "confidence": 3.0}, True),
        ({"judge": "syncnet", "probability": None, "confidence": 2.9}, False),
    ],
)
def test_latentsyncs_rule_keeps_sure_clips_with_small_offsets(changes, kept):
    clip = MeasuredClip(
        video=None, clip=None, sync=replace(SCORE, **changes), quality=None, stretches=()
    )
    assert by_latentsync(clip, SelectParams()) is kept


def test_own_shifts_are_whole_spread_evenly_and_always_the_same():
    shifts = [own_shift(f"clip {n}") for n in range(1300)]
    assert set(shifts) == set(range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1))
    assert max(np.bincount([int(one) + MAX_OFFSET_FRAMES for one in shifts])) < 150
    assert own_shift("a") == own_shift("a")


def test_sets_are_refused_where_the_parameters_split_otherwise_than_the_table():
    params = SelectParams()
    row = Selected(
        clip_id="c",
        source_clip_id="c",
        video_id="v",
        split=split_of("source:v", params),
        group="source:v",
        start_frame=0,
        end_frame=99,
        offset_frames=0.0,
        drift_frames=0.0,
        probability=0.9,
    )
    check_split([row], params)
    other = "val" if row.split == "train" else "train"
    with pytest.raises(ClaimsError, match=rf"c is in {other}, by params.yaml .* in {row.split}"):
        check_split([replace(row, split=other)], params)


def test_a_clip_that_is_not_in_the_item_cache_is_named_with_the_fix(tmp_path):
    one = clip("film.mp4", 0, artifact="ab" * 32)
    match = rf"{tmp_path}/nope/ab/.*mp4: gone; .*item cache; .*--cache .*`lipforge run faces`"
    with pytest.raises(ClaimsError, match=match):
        cached_files(one, open_cache(str(tmp_path / "nope")))
    stored = open_cache(str(tmp_path))
    with stored.workdir() as folder:
        for suffix in ("mp4", "npz", "flac"):
            (folder / f"{one.clip_id}.{suffix}").write_text(suffix)
        stored.commit(one.artifact, {}, folder)
    files = cached_files(one, stored)
    assert files.video is not None
    assert files.video.read_text() == "mp4"
