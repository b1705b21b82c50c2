"""Decoding a whole clip: the pixels curation saw, the samples that were stored, or an error."""

import io
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.media.encode import read_video, write_clip
from pipeline.media.flac import flac_bytes
from pipeline.shards.training_sample import decode_sample
from tests.golden_rules import rule_frames, rule_sound
from trainers.data.clip import decode_clip

FRAMES = 20
SOUND = rule_sound(FRAMES / 25, 1)


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "c.mp4"
    write_clip(path, rule_frames(FRAMES, 96, 128, 0), crf=20)
    return {"mp4": path.read_bytes(), "flac": flac_bytes(SOUND, 16_000)}


def test_pixels_are_those_of_the_reader_that_curation_uses(members):
    clip = decode_clip("c", "s.tar", members, FRAMES, None)
    assert clip.num_frames == FRAMES
    assert clip.frames.shape == (FRAMES, 3, 96, 128)
    assert np.array_equal(clip.frames, read_video(members["mp4"]).transpose(0, 3, 1, 2))


def test_samples_are_the_stored_integers(members):
    assert np.array_equal(decode_clip("c", "s.tar", members, FRAMES, None).audio, SOUND)


@pytest.mark.parametrize("num_frames", [FRAMES - 1, FRAMES + 1])
def test_a_length_other_than_its_json_says_is_an_error(members, num_frames):
    with pytest.raises(DecodeError, match=str(num_frames)):
        decode_clip("c", "s.tar", members, num_frames, None)


def test_sound_of_another_length_than_the_picture_is_an_error(members):
    short = members | {"flac": flac_bytes(SOUND[:-1], 16_000)}
    with pytest.raises(DecodeError, match="12800 belong"):
        decode_clip("c", "s.tar", short, FRAMES, None)


def test_damage_in_the_pictures_is_nearly_always_an_error_not_a_smear(members):
    caught = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        damaged, length = bytearray(members["mp4"]), int(rng.choice([2, 50, 4000]))
        begin = int(rng.integers(len(damaged) // 4, len(damaged) - length))
        damaged[begin : begin + length] = rng.bytes(length)
        try:
            decode_clip("c", "s.tar", {**members, "mp4": bytes(damaged)}, FRAMES, None)
        except DecodeError:
            caught += 1
    assert caught >= 36  # H.264 has no checksum: some damage is another valid picture


def accepted(read: Callable[[], object]) -> bool:
    try:
        read()
    except DecodeError:
        return False
    return True


def test_one_flipped_bit_that_training_refuses_is_refused_before_packing_and_none_else(members):
    landmarks = io.BytesIO()
    np.savez(landmarks, landmarks=np.zeros((FRAMES, 4, 3)), matrices=np.zeros((FRAMES, 2, 3)))
    facts = {"npz": landmarks.getvalue(), "json": f'{{"num_frames": {FRAMES}}}'.encode()}
    refused = 0
    for seed in range(30):
        damaged = bytearray(members["mp4"])
        damaged[np.random.default_rng(seed).integers(len(damaged))] ^= 1
        sample = {**members, **facts, "mp4": bytes(damaged)}
        trained = accepted(lambda m=sample: decode_clip("c", "s.tar", m, FRAMES, None))
        assert accepted(lambda m=sample: decode_sample({"__key__": "c", **m})) == trained, seed
        refused += not trained
    assert refused >= 15  # H.264 has no checksum: some bits make another valid picture
