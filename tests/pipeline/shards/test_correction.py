import numpy as np
import pytest

from pipeline.shards.correction import common_interval, resampled


@pytest.mark.parametrize("offset", range(-15, 16))
def test_after_correction_every_frame_meets_its_own_sound(offset):
    """Frame j shows event j; audio frame i holds event i + offset (early when positive)."""
    picture = np.arange(100)
    sound = np.repeat(np.arange(100) + offset, 640).astype(np.int16)
    cut = common_interval(0, 100, 100, offset)
    frames = picture[cut.first_frame : cut.first_frame + cut.num_frames]
    assert np.array_equal(cut.audio(sound).reshape(-1, 640)[:, 0], frames)
    assert len(frames) == 100 - abs(offset)


@pytest.mark.parametrize("offset", [-3.37, -0.5, 0.1, 0.9, 4.25])
def test_a_part_of_a_frame_is_corrected_in_samples(offset):
    """Sample n of the source holds the time n; frame j must begin with time 640 (j - offset)."""
    sound = np.arange(100 * 640) // 4
    cut = common_interval(0, 100, 100, offset)
    first = cut.audio(sound.astype(np.int16))[0]
    assert abs(first - (cut.first_frame - offset) * 640 / 4) <= 0.5
    assert len(cut.audio(sound.astype(np.int16))) == cut.num_frames * 640


def test_a_part_begins_at_a_frame_where_the_picture_can_be_cut():
    """The first 16 frames are IDR frames, then every tenth: 15, 25, 35, ..."""
    assert common_interval(41, 200, 250, 0.0).first_frame == 45
    assert common_interval(45, 200, 250, 0.0).first_frame == 45
    assert common_interval(7, 200, 250, 0.0).first_frame == 7


def test_a_part_inside_of_the_clip_keeps_all_its_frames_whatever_the_offset():
    cut = common_interval(45, 200, 250, 9.0)
    assert (cut.first_frame, cut.num_frames) == (45, 155)


def test_an_offset_longer_than_the_clip_is_refused():
    with pytest.raises(ValueError, match="offset 10"):
        common_interval(0, 10, 10, 10)


@pytest.mark.parametrize("drift", [-4.0, 2.5])
def test_a_drift_is_taken_out_within_a_millisecond(drift):
    """The sound of time t (frames) lies at t - offset(t), the offset growing by `drift`."""
    frames, tone = 250, 2 * np.pi * 300 / 16_000
    time = np.arange((frames + 40) * 640) / 640
    heard_at = (time + 2 - drift / 2) / (1 - drift / frames)  # true time of the source's sample
    sound = (12_000 * np.sin(tone * 640 * heard_at)).astype(np.int16)
    cut = common_interval(0, frames, frames + 40, 2 * 1.0, drift)
    true = cut.first_frame + np.arange(cut.num_frames * 640) / 640
    wanted = 12_000 * np.sin(tone * 640 * true)
    got = cut.audio(sound).astype(float)
    inside = slice(3200, -3200)
    # a delay of 1 ms at 300 Hz turns the phase by 108 degrees: correlation -0.3
    assert np.corrcoef(got[inside], wanted[inside])[0, 1] > 0.99


def test_reading_between_samples_keeps_a_tone():
    time = np.arange(4000)
    tone = 10_000 * np.sin(2 * np.pi * 3000 / 16_000 * time)
    moved = resampled(tone.astype(np.int16), time[100:-100] + 0.3)
    wanted = 10_000 * np.sin(2 * np.pi * 3000 / 16_000 * (time[100:-100] + 0.3))
    assert np.abs(moved - wanted).max() < 30
