"""Networks of the Fréchet distances: names, samples and their honest metric names."""

import numpy as np
import pytest
import torch

from pipeline.errors import ParamsError
from trainers.evaluation.frechet_features import (
    as_unit_range,
    fid_network,
    fvd_network,
    video_windows,
)


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (33, 3, 32, 32), dtype=np.uint8)


def test_every_frame_is_a_sample_of_the_fid(clip):
    network = fid_network("stand-in:inception-2015-12-05")
    features = network.of(clip[:3], torch.device("cpu"))
    assert features.shape == (3, 128)
    assert features.std() > 0.01


def test_every_window_of_16_frames_is_a_sample_of_the_fvd(clip):
    network = fvd_network("stand-in:videomae-v2-giant")
    assert network.of(clip, torch.device("cpu")).shape == (2, 48)
    assert len(network.of(clip[:15], torch.device("cpu"))) == 0


def test_windows_hold_the_frames_in_their_order(clip):
    windows = video_windows(clip)
    assert windows.shape == (2, 3, 16, 32, 32)
    np.testing.assert_array_equal(windows[1, :, 4], clip[20])


def test_scaling_a_window_mixes_no_frames(clip):
    windows = video_windows(clip)
    alone = windows.clone()
    alone[:, :, 5:] = 0
    torch.testing.assert_close(as_unit_range(windows)[:, :, :5], as_unit_range(alone)[:, :, :5])


def test_random_weights_give_a_metric_of_another_name():
    assert fid_network("stand-in:inception-2015-12-05").metric == "fid_stand_in"
    assert fvd_network("stand-in:videomae-v2-giant").metric == "fvd_videomae_stand_in"


def test_none_is_no_network_and_an_unknown_name_is_refused():
    assert fid_network("none") is None
    assert fvd_network("none") is None
    with pytest.raises(ParamsError, match="i3d"):
        fvd_network("i3d")
