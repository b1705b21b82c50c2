"""Windows cut from spectrograms of the whole clip are those made one by one."""

import numpy as np
import pytest

from trainers.audio.mel import mel_window
from trainers.audio.mel_windows import PrepareMel
from trainers.data.clip import DecodedClip


def made_clip(num_frames: int) -> DecodedClip:
    sound = np.random.default_rng(0).integers(-9000, 9000, num_frames * 640).astype(np.int16)
    return DecodedClip("c", "s", np.zeros((num_frames, 3, 8, 8), np.uint8), sound)


@pytest.mark.parametrize("start", ["exact", "compat"])
@pytest.mark.parametrize("num_frames", [16, 18, 41])
def test_every_window_of_a_clip_is_that_of_mel_window(start, num_frames):
    clip = made_clip(num_frames)
    made = PrepareMel(start)(clip)
    for frame in range(num_frames - 15):
        window = made.window(frame, 16)
        assert window.dtype == np.float32
        assert np.allclose(window, mel_window(clip.audio, frame, 16, start), atol=1e-5)


def test_a_window_behind_the_clip_is_refused():
    with pytest.raises(ValueError, match="no window of 16 frames at frame 5"):
        PrepareMel()(made_clip(20)).window(5, 16)
