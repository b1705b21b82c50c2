"""Augmentation: drawn once for all frames of an item, and only what was asked for."""

import numpy as np
import pytest

from tests.golden_rules import rule_frames
from trainers.data.augment import (
    Augmentation,
    AugmentationDraw,
    augmented,
    colour_jittered,
    draw_augmentation,
    h264_compressed,
    jpeg_compressed,
)
from trainers.data.clip import DecodedClip
from trainers.data.window_items import WindowItem, non_overlapping_start
from trainers.errors import TrainingDataError

FRAMES = np.ascontiguousarray(rule_frames(4, 64, 64, 0).transpose(0, 3, 1, 2))
STILL = np.repeat(FRAMES[:1], 4, axis=0)
ALWAYS = Augmentation(flip=1, colour=1, jpeg=1, h264=1)


def psnr(one, two):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - two) ** 2))


def test_the_default_changes_nothing():
    for seed in range(20):
        look = draw_augmentation(Augmentation(), np.random.default_rng(seed))
        assert look == AugmentationDraw()
    assert np.array_equal(augmented(FRAMES, AugmentationDraw()), FRAMES)


def test_the_draw_depends_on_the_random_generator():
    looks = [draw_augmentation(ALWAYS, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert looks[0] == looks[1] != looks[2]
    expected = augmented(FRAMES, looks[0])
    assert all(np.array_equal(augmented(FRAMES, looks[1]), expected) for _ in range(30))


def test_shares_are_kept_and_options_do_not_move_each_other():
    config = Augmentation(flip=0.5, jpeg=0.25)
    looks = [draw_augmentation(config, np.random.default_rng(seed)) for seed in range(2000)]
    assert np.mean([look.flip for look in looks]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([look.jpeg_quality is not None for look in looks]) == pytest.approx(
        0.25, abs=0.03
    )
    alone = [
        draw_augmentation(Augmentation(flip=0.5), np.random.default_rng(s)) for s in range(2000)
    ]
    assert [look.flip for look in looks] == [look.flip for look in alone]


@pytest.mark.parametrize(
    "look",
    [
        AugmentationDraw(flip=True),
        AugmentationDraw(factors=(1.1, 0.8, 1.2)),
        AugmentationDraw(jpeg_quality=30),
    ],
)
def test_all_frames_of_an_item_change_alike(look):
    changed = augmented(STILL, look)
    assert changed.shape == STILL.shape
    assert not np.array_equal(changed, STILL)
    assert all(np.array_equal(frame, changed[0]) for frame in changed)


def test_a_flip_mirrors_left_and_right():
    assert np.array_equal(augmented(FRAMES, AugmentationDraw(flip=True))[..., ::-1], FRAMES)


def test_colour_of_one_changes_nothing_and_brightness_brightens():
    assert np.array_equal(colour_jittered(FRAMES, 1, 1, 1), FRAMES)
    assert colour_jittered(FRAMES, 1.2, 1, 1).mean() > FRAMES.mean()
    grey = colour_jittered(FRAMES, 1, 1, 0)
    assert np.abs(grey[:, 0].astype(int) - grey[:, 2]).max() <= 1


def smooth():
    ramp = np.linspace(40, 200, 64).astype(np.uint8)
    return np.tile(ramp, (4, 3, 64, 1))


@pytest.mark.parametrize(
    "through", [lambda f: jpeg_compressed(f, 90), lambda f: h264_compressed(f, 18)]
)
def test_compression_keeps_frames_colours_and_places(through):
    frames = smooth()
    frames[2, 0] = 255 - frames[2, 0]  # one frame of another colour
    assert psnr(through(frames), frames) > 28


def test_more_compression_leaves_less():
    assert psnr(jpeg_compressed(FRAMES, 90), FRAMES) > psnr(jpeg_compressed(FRAMES, 30), FRAMES)
    assert psnr(h264_compressed(FRAMES, 18), FRAMES) > psnr(h264_compressed(FRAMES, 40), FRAMES)


def test_a_clip_itself_is_never_changed():
    frames = np.repeat(FRAMES, 12, axis=0)
    clip = DecodedClip("c", "s.tar", frames.copy(), np.zeros(48 * 640, np.int16))
    item = WindowItem(reference="apart", augmentation=ALWAYS)(clip, 3, np.random.default_rng(0))
    assert item["frames"].shape == item["reference"].shape == (16, 3, 64, 64)
    assert np.array_equal(clip.frames, frames)


def test_every_start_has_a_window_apart_and_all_are_drawn():
    rng = np.random.default_rng(0)
    for start in range(47 - 16 + 1):
        drawn = {non_overlapping_start(47, start, 16, rng) for _ in range(400)}
        assert drawn == {s for s in range(32) if abs(s - start) >= 16}
    with pytest.raises(ValueError, match="no window"):
        non_overlapping_start(31, 8, 16, rng)


@pytest.mark.parametrize(
    "wrong",
    [{"flip": 1.5}, {"jpeg_quality": (90, 40)}, {"h264_crf": (0, 20)}, {"colour_strength": 1.0}],
)
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(TrainingDataError, match=next(iter(wrong))):
        Augmentation(**wrong)
