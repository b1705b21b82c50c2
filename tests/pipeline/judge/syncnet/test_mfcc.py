import numpy as np
import pytest

from pipeline.judge.syncnet import mfcc as front_end
from pipeline.judge.syncnet.mfcc import mfcc, num_frames
from tests.pipeline.judge.syncnet.golden_syncnet import arrays, sound


def test_cepstra_are_those_of_python_speech_features() -> None:
    golden = arrays("g1_inputs")["mfcc"]
    assert mfcc(sound()).shape == golden.shape == (159, 13)
    assert mfcc(sound()) == pytest.approx(golden, abs=1e-10)


@pytest.mark.parametrize(
    ("samples", "frames"), [(16000, 99), (48000, 299), (400, 1), (401, 2), (3, 1)]
)
def test_the_last_window_is_filled_up(samples: int, frames: int) -> None:
    assert num_frames(samples) == frames
    assert len(mfcc(np.ones(samples, np.int16))) == frames


def test_full_scale_moves_only_the_energy() -> None:
    quiet = mfcc((sound() / 32768).astype(np.float64))
    moved = mfcc(sound()) - quiet
    assert moved[:, 0] == pytest.approx(2 * np.log(32768))
    assert moved[:, 1:] == pytest.approx(0, abs=1e-9)


def test_a_long_sound_is_cut_into_blocks_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mfcc(sound())
    monkeypatch.setattr(front_end, "BLOCK", 7)
    assert (mfcc(sound()) == whole).all()


def test_silence_has_finite_cepstra_and_no_sound_has_none() -> None:
    assert np.isfinite(mfcc(np.zeros(16000, np.int16))).all()
    with pytest.raises(ValueError, match="at least one sample"):
        mfcc(np.zeros(0, np.int16))
