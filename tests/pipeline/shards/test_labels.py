"""Labels of every frame: which second is bad, and where it lies after the sound was shifted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.judge.choice import evidence_model
from pipeline.judge.seconds import sync_by_frame
from pipeline.media.clip_reader import read_arrays
from pipeline.shards.correction import common_interval
from pipeline.shards.labels import LABELS, ClipSeries, labels_of
from tests.pipeline.selection.test_rules import GOOD
from tests.pipeline.shards.test_sample import item, written

FRAMES = 200


def series(**named: np.ndarray) -> ClipSeries:
    zeros = dict.fromkeys(("speech", "cover", "change"), np.zeros(FRAMES, np.float32))
    return ClipSeries(**{**zeros, **named})


@pytest.mark.parametrize("offset", [0, 3, -4])
def test_a_covered_second_stays_with_the_picture_and_speech_moves_with_the_sound(offset):
    at = np.zeros(FRAMES, np.float32)
    at[100:125] = 1
    interval = common_interval(0, FRAMES, FRAMES, float(offset))
    labels = labels_of(series(speech=at, cover=at), interval, np.zeros(interval.num_frames))
    first = interval.first_frame
    assert np.flatnonzero(labels["cover"]).tolist() == list(range(100 - first, 125 - first))
    heard = [100 - first + offset, 125 - first + offset]
    assert np.flatnonzero(labels["speech"]).tolist() == list(range(*heard))


def test_speech_is_shared_between_frames_where_the_offset_is_half_a_frame():
    at = np.zeros(FRAMES, np.float32)
    at[100] = 1
    interval = common_interval(0, FRAMES, FRAMES, 0.5)
    speech = labels_of(series(speech=at), interval, np.zeros(interval.num_frames))["speech"]
    first = 100 - interval.first_frame
    assert speech[first - 1 : first + 3].tolist() == [0, 0.5, 0.5, 0]


def test_speech_of_a_drifting_part_is_where_its_resampled_sound_is():
    sound = np.zeros(FRAMES * 640, np.int16)
    at = np.zeros(FRAMES, np.float32)
    for frame in (20, 100, 180):
        sound[frame * 640 : (frame + 1) * 640] = 10_000
        at[frame] = 1
    interval = common_interval(0, FRAMES, FRAMES, 4.0, drift_frames=6.0)
    speech = labels_of(series(speech=at), interval, np.zeros(interval.num_frames))["speech"]
    loud = np.abs(interval.audio(sound).reshape(-1, 640)).mean(axis=1) / 10_000
    assert np.abs(speech - loud).max() < 0.05, "0.03: ringing at the edges of a burst"
    assert speech.sum() == pytest.approx(3, abs=0.1)


def test_the_second_in_which_the_sound_is_foreign_has_a_low_sync_and_the_others_a_high_one():
    rng = np.random.default_rng(0)
    distances = rng.normal(1.2, 0.05, (FRAMES - 10, 31))
    distances[:, 15] = 0.5
    foreign = slice(80, 120)
    distances[foreign] = rng.normal(1.2, 0.05, (40, 31))
    sync = sync_by_frame(distances, evidence_model("landmark"), FRAMES)
    assert sync.shape == (FRAMES,)
    assert sync[105] < 0.05
    assert min(sync[:60].min(), sync[140:].min()) > 0.95


def test_sound_that_is_off_by_frames_is_not_in_sync_however_well_it_fits_there():
    distances = np.full((FRAMES - 10, 31), 1.2)
    distances[:, 20] = 0.5
    assert sync_by_frame(distances, evidence_model("landmark"), FRAMES).max() < 0.05


def test_what_cannot_be_judged_is_no_number_and_not_a_guess():
    interval = common_interval(0, FRAMES, FRAMES, 0.0)
    labels = labels_of(series(), interval, None)
    assert np.isnan(labels["sync"]).all()
    assert not np.isnan(labels["cover"]).any()


def test_another_value_of_one_frame_is_another_sample():
    covered = replace(GOOD, cover_by_frame=[0.01] * 99 + [0.02])
    assert ClipSeries.of(covered).sha256() != ClipSeries.of(GOOD).sha256()
    assert ClipSeries.of(replace(GOOD)).sha256() == ClipSeries.of(GOOD).sha256()


def test_the_npz_holds_one_float32_per_frame_of_the_sample(tmp_path: Path):
    _, facts = written(tmp_path, item(tmp_path, 3))
    arrays = read_arrays(tmp_path / "out" / "c.npz")
    for name in LABELS:
        assert (arrays[name].dtype, arrays[name].shape) == (np.float32, (facts["num_frames"],))
    assert arrays["cover"][0] == pytest.approx(0.03), "frame 3 of the clip is the sample's first"
