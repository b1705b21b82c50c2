import numpy as np
import pytest

from pipeline.quality.hashes import audio_hash, picture_hash
from pipeline.quality.picture import read_pictures
from tests.pipeline.quality.synthetic import moving, texture, write_video

NEAR_BITS = 4
"""params.yaml select.near_duplicate_bits."""


def hamming(one: str, two: str) -> int:
    """Return in how many bits two hashes differ."""
    return (int(one, 16) ^ int(two, 16)).bit_count()


def encoded(tmp_path, luma, crf):
    return read_pictures(write_video(tmp_path / "clip.mp4", luma, crf), len(luma)).small


def babble(seed: int) -> np.ndarray:
    """Return 4 s of noise whose loudness wanders."""
    rng = np.random.default_rng(seed)
    loudness = np.interp(np.arange(64_000), np.arange(0, 64_001, 3200), rng.uniform(0, 1, 21) ** 3)
    return (0.3 * loudness * rng.normal(0, 1, 64_000)).astype(np.float32)


@pytest.mark.parametrize("crf", [23, 32])
def test_a_reencoded_clip_keeps_its_picture_hash(tmp_path, crf):
    luma = moving(50)
    one = picture_hash(encoded(tmp_path, luma, 14))
    assert hamming(one, picture_hash(encoded(tmp_path, luma, crf))) <= NEAR_BITS


def test_a_brighter_copy_keeps_its_picture_hash():
    luma = moving(50)
    brighter = np.clip(luma * 1.1 + 5, 0, 255)
    assert hamming(picture_hash(luma), picture_hash(brighter)) <= NEAR_BITS


def test_the_same_face_moving_otherwise_has_another_hash():
    one, two = moving(50), texture() + moving(50, seed=5) - texture(5)
    assert hamming(picture_hash(one), picture_hash(two)) > 10


def test_two_still_pictures_have_different_hashes():
    stills = [np.repeat(texture(seed)[None], 20, axis=0) for seed in range(3)]
    hashes = [picture_hash(still) for still in stills]
    assert min(hamming(a, b) for a, b in [hashes[:2], hashes[1:], hashes[::2]]) > NEAR_BITS


def test_louder_or_noisier_sound_keeps_its_hash_and_other_sound_does_not():
    sound = babble(0)
    noise = np.random.default_rng(9).normal(0, 0.001, len(sound)).astype(np.float32)
    assert hamming(audio_hash(sound), audio_hash(sound / 4)) == 0
    assert hamming(audio_hash(sound), audio_hash(sound + noise)) <= NEAR_BITS
    assert hamming(audio_hash(sound), audio_hash(babble(1))) > 10


@pytest.mark.parametrize("samples", [0, 1, 500, 513, 16_000])
def test_any_length_of_silence_hashes_to_zero(samples):
    assert audio_hash(np.zeros(samples, np.float32)) == "0" * 16


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_clips_have_a_hash(frames):
    assert len(picture_hash(moving(frames))) == 16
