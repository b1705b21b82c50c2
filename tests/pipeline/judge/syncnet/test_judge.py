"""The SyncNet judge against golden G1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import WeightsError
from pipeline.judge.syncnet.curve import framewise_confidence, read_distances, window_distances
from pipeline.judge.syncnet.judge import SyncNetJudge
from pipeline.tables.rows import SAMPLES_PER_FRAME
from tests.pipeline.judge.syncnet.golden_syncnet import (
    RESULTS,
    TOLERANCE,
    arrays,
    embedded,
    frames,
    judge,
    save_state,
    sound,
)


@pytest.mark.parametrize("variant", ["tweaked", "plain"])
def test_embeddings_are_the_published_ones(variant: str) -> None:
    golden, (lip, aud) = arrays(f"g1_syncnet_{variant}"), embedded(variant)
    assert lip.dtype == aud.dtype == np.float32
    assert lip == pytest.approx(golden["lip"], abs=TOLERANCE[variant])
    assert aud == pytest.approx(golden["aud"], abs=TOLERANCE[variant])


@pytest.mark.parametrize("variant", ["tweaked", "plain"])
def test_offset_distance_and_confidence_are_the_published_ones(variant: str) -> None:
    golden, known = arrays(f"g1_syncnet_{variant}"), RESULTS[variant]
    result = read_distances(window_distances(*embedded(variant)))
    near = {"abs": TOLERANCE[variant]}
    assert result.offset_frames == known["av_offset"]
    assert result.min_distance == pytest.approx(known["min_dist"], **near)
    assert result.confidence == pytest.approx(known["confidence"], **near)
    assert result.curve[::-1] == pytest.approx(golden["mean_dist"], **near)
    assert result.distances[:, ::-1] == pytest.approx(golden["dists"], **near)
    assert framewise_confidence(result) == pytest.approx(golden["framewise_conf"], **near)


@pytest.mark.parametrize(
    "case",
    [
        "len_video40_audio30",
        "len_video30_audio40",
        "len_video40_audio_30frames_plus_300samples",
    ],
)
def test_the_shorter_of_picture_and_sound_decides(case: str) -> None:
    known = RESULTS[case]
    pictures = iter(frames()[: known["n_video"]])
    result = judge(threads=2).score(pictures, sound()[: known["n_audio_samples"]])
    assert len(result.distances) == known["n_windows"] == 25
    assert result.offset_frames == known["av_offset"]
    assert result.confidence == pytest.approx(known["confidence"], abs=1e-3)
    assert result.min_distance == pytest.approx(known["min_dist"], abs=1e-3)


def endless() -> Iterator[NDArray[np.uint8]]:
    """The golden frames over and over, all written into one array."""
    same = np.empty_like(frames()[0])
    while True:
        for frame in frames():
            same[:] = frame
            yield same


def test_pictures_are_read_only_as_far_as_the_sound_goes_and_may_share_memory() -> None:
    cut = sound()[: 9 * SAMPLES_PER_FRAME + 639]
    lip, aud = judge().embed(endless(), cut)
    assert lip.shape == aud.shape == (4, 1024)
    assert (lip == embedded("tweaked")[0][:4]).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_embedding_depends_on_its_window_alone(threads: int) -> None:
    """Other windows before it, another place in the batch, another number of threads."""
    before = torch.get_num_threads()
    lip, aud = judge(threads=threads).embed(frames()[3:17], sound()[3 * SAMPLES_PER_FRAME :])
    assert (lip == embedded("tweaked")[0][3:12]).all()
    assert (aud[1:] == embedded("tweaked")[1][4:12]).all()  # pre-emphasis reaches back one sample
    assert torch.get_num_threads() == before


def test_score_says_its_mode_and_masks_on_demand() -> None:
    clip = frames()[:9], sound()
    reference, masked = judge().score(*clip), judge().score(*clip, mode="masked")
    assert (reference.mode, masked.mode) == ("reference", "masked")
    assert np.isfinite(reference.distances).all()
    assert np.isnan(masked.distances[:, 0]).all()
    assert np.isfinite(masked.curve).all()


@pytest.mark.parametrize(("pictures", "samples"), [(5, 25600), (40, 6 * 640 - 1), (0, 0), (6, 1)])
def test_under_six_frames_with_sound_there_is_no_answer(pictures: int, samples: int) -> None:
    with pytest.raises(ValueError, match="fewer than 6 frames with sound"):
        judge().score(iter(frames()[:pictures]), sound()[:samples])


def test_six_frames_give_one_window() -> None:
    assert judge().score(frames()[:6], sound()).distances.shape == (1, 31)


def test_silence_and_black_pictures_have_finite_scores() -> None:
    result = judge().score(np.zeros((8, 224, 224, 3), np.uint8), np.zeros(8 * 640, np.int16))
    assert np.isfinite(result.distances).all()


@pytest.mark.parametrize(
    ("pictures", "samples", "message"),
    [
        (frames()[:6, :96, :96], sound(), "crops must be 224 x 224"),
        (frames()[:6].astype(np.float32), sound(), "crops must be 224 x 224"),
        (frames()[:6], sound() / 32768, "mono int16"),
        (frames()[:6], np.stack([sound(), sound()]), "mono int16"),
    ],
)
def test_another_shape_or_type_is_refused(pictures: Any, samples: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge().score(pictures, samples)


def test_bfloat16_answers_nearly_the_same() -> None:
    lip, aud = judge(precision="bfloat16").embed(frames()[:9], sound())
    assert lip == pytest.approx(embedded("tweaked")[0][:4], abs=0.3)
    assert aud == pytest.approx(embedded("tweaked")[1][:4], abs=0.3)


def test_a_judge_loads_from_a_file_or_says_why_not(tmp_path: Path) -> None:
    loaded = SyncNetJudge.load(save_state(tmp_path / "syncnet_v2.model"))
    assert (loaded.embed(frames()[:6], sound())[0] == embedded("tweaked")[0][:1]).all()
    assert loaded.name == "syncnet"
    with pytest.raises(WeightsError, match="no such file"):
        SyncNetJudge.load(tmp_path / "absent.model")


@pytest.mark.gpu
def test_a_gpu_gives_the_published_numbers_too() -> None:
    lip, aud = judge(device="cuda").embed(iter(frames()), sound())
    golden = arrays("g1_syncnet_tweaked")
    assert lip == pytest.approx(golden["lip"], abs=1e-3)
    assert aud == pytest.approx(golden["aud"], abs=1e-3)
    fast = judge(device="cuda", precision="bfloat16").score(iter(frames()), sound())
    assert fast.offset_frames == RESULTS["tweaked"]["av_offset"]
    assert fast.confidence == pytest.approx(RESULTS["tweaked"]["confidence"], rel=0.02)
