import numpy as np
import pytest

from pipeline.shards.correction import common_interval


@pytest.mark.parametrize("offset", range(-15, 16))
def test_after_correction_every_frame_meets_its_own_sound(offset):
    """Frame j shows event j; audio frame i holds event i + offset (early when positive)."""
    picture = np.arange(100)
    sound = np.repeat(np.arange(100) + offset, 640).astype(np.int16)
    cut = common_interval(100, offset)
    frames = picture[cut.first_video_frame : cut.first_video_frame + cut.num_frames]
    assert np.array_equal(cut.audio(sound).reshape(-1, 640)[:, 0], frames)
    assert len(frames) == 100 - abs(offset)


def test_an_offset_longer_than_the_clip_is_refused():
    with pytest.raises(ValueError, match="offset 10"):
        common_interval(10, 10)
