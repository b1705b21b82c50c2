"""Pairs and windows of a clip have the pictures, the sounds and the labels they say."""

import numpy as np
import pytest
import torch

from trainers.audio.mel import mel_window
from trainers.audio.mel_windows import PrepareMel
from trainers.data.augment import Augmentation
from trainers.data.clip import DecodedClip
from trainers.systems.stable_syncnet.items import (
    DrawnAugmentation,
    PairItem,
    WindowConfig,
    WindowsItem,
)


def made_clip(num_frames: int = 60) -> DecodedClip:
    rng = np.random.default_rng(0)
    frames = np.zeros((num_frames, 3, 64, 64), np.uint8)
    frames += np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    sound = rng.integers(-3000, 3000, num_frames * 640).astype(np.int16)
    return DecodedClip("c", "s", frames, sound)


def first_frame(visual: torch.Tensor) -> int:
    """Read which frame of `made_clip` a window begins with."""
    return int(visual[0, 0, 0])


def test_a_pair_has_the_sound_of_its_moment_and_the_picture_of_its_label():
    clip, seen = made_clip(), set()
    for seed in range(20):
        item = PairItem()(clip, 0, np.random.default_rng(seed))
        first, start = first_frame(item["visual"]), item["start_frame"]
        assert item["visual"].shape == (48, 32, 64)
        assert item["mel"].shape == (1, 80, 52)
        assert np.allclose(item["mel"][0], mel_window(clip.audio, start, 16), atol=1e-6)
        assert (first == start) == bool(item["in_sync"])
        assert item["in_sync"] or abs(first - start) >= 16
        seen.add(float(item["in_sync"]))
    assert seen == {0.0, 1.0}


@pytest.mark.parametrize("mel", ["exact", "compat"])
def test_every_window_of_an_item_has_its_own_picture_and_sound(mel):
    clip = made_clip()
    clip.prepared = PrepareMel(mel)(clip)
    item = WindowsItem(6, WindowConfig(mel=mel))(clip, 0, np.random.default_rng(1))
    starts = item["starts"].tolist()
    assert item["visual"].shape == (6, 48, 32, 64)
    assert item["mel"].shape == (6, 1, 80, 52)
    assert [first_frame(one) for one in item["visual"]] == starts
    for start, heard in zip(starts, item["mel"], strict=True):
        assert np.allclose(heard[0], mel_window(clip.audio, start, 16, mel), atol=1e-5)


def test_the_label_of_every_pair_of_windows_is_that_of_their_distance():
    item = WindowsItem(8)(made_clip(), 0, np.random.default_rng(2))
    starts = item["starts"]
    gaps = (starts[:, None] - starts[None]).abs()
    others = ~torch.eye(8, dtype=torch.bool)
    assert torch.equal(item["in_sync"][others] == 0, (gaps >= 16)[others])
    assert set(item["in_sync"].diagonal().tolist()) <= {1, -1}
    assert (item["in_sync"] == 0).any()


def test_even_windows_are_the_same_at_every_call():
    item = WindowsItem(5, spread_evenly=True)
    first, second = (item(made_clip(), 0, np.random.default_rng(seed)) for seed in (1, 2))
    assert first["starts"].tolist() == [0, 11, 22, 33, 44]
    assert torch.equal(first["visual"], second["visual"])


def test_one_look_for_all_windows_of_an_item():
    clip = made_clip()
    clip.frames[:, :, :, :32] = 200  # the left side tells whether it was mirrored
    item = WindowsItem(6, WindowConfig(augmentation=Augmentation(flip=0.5)))
    flips = set()
    for seed in range(8):
        left = item(clip, 0, np.random.default_rng(seed))["visual"][:, 0, 0, 0]
        is_flipped = {value.item() < 128 for value in left}
        assert len(is_flipped) == 1
        flips |= is_flipped
    assert flips == {True, False}


def test_a_shift_moves_all_pictures_of_an_item_alike_and_repeats_the_border():
    clip = made_clip()
    clip.frames[:] = np.arange(64, dtype=np.uint8)[:, None]  # each row tells its number
    window_config, seen = WindowConfig(shift=0.1), set()
    for seed in range(12):
        visual = WindowsItem(3, window_config)(clip, 0, np.random.default_rng(seed))["visual"]
        rows = visual[..., 5].int()
        assert (rows == rows[:1, :1]).all()
        first = int(rows[0, 0, 0])
        assert rows[0, 0].tolist() == [min(first + row, 63) for row in range(32)]
        seen.add(32 - first)
    assert min(seen) < 0 < max(seen)
    assert max(map(abs, seen)) <= 6


def test_gain_is_what_a_louder_sound_gives():
    clip = made_clip()
    drawn = DrawnAugmentation(gain_db=6.0)
    loud = DecodedClip("c", "s", clip.frames, (clip.audio * 1.9953).astype(np.int16))
    heard = WindowConfig().sound(clip, 7, drawn)
    assert torch.allclose(heard, WindowConfig().sound(loud, 7, DrawnAugmentation()), atol=2e-3)


def test_without_augmentation_nothing_is_changed():
    window_config, rng = WindowConfig(), np.random.default_rng(0)
    assert all(window_config.draw(rng, 64) == DrawnAugmentation() for _ in range(10))


@pytest.mark.parametrize("item", [PairItem(), WindowsItem(3)])
def test_the_pictures_of_an_item_are_the_bytes_of_the_clip_and_do_not_share_its_memory(item):
    clip = made_clip()
    visual = item(clip, 0, np.random.default_rng(0))["visual"]
    before = visual.clone()
    clip.frames[:] = 255
    assert visual.dtype == torch.uint8
    assert torch.equal(visual, before)
