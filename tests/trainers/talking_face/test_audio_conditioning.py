"""Tokens of long audio: overlapping chunks whose edges are not used."""

import numpy as np
import pytest
import torch

from trainers.frozen.whisper import whisper_windows
from trainers.talking_face.audio_conditioning import CHUNK_FRAMES, MARGIN_FRAMES, AudioConditioning


class Echo:
    """Features of a step: its frame, its place in its chunk, and the length of the chunk.

    The audio holds the number of its frame.
    """

    def features(self, clips):
        assert len(clips[0]) <= CHUNK_FRAMES * 640
        values = torch.from_numpy(np.ascontiguousarray(clips[0][::320])).float()
        place = torch.arange(len(values)) / 2
        length = torch.full_like(place, len(values) / 2)
        return [torch.stack([values, place, length], 1)[:, None]]

    def windows(self, features, start, frames):
        return whisper_windows(features, start, frames)


def numbered(frames):
    return np.repeat(np.arange(frames), 640).astype(np.int16)


@pytest.mark.parametrize("frames", [2, 40, 750])
def test_audio_of_up_to_30_seconds_is_encoded_whole(frames):
    (features,) = Echo().features([numbered(frames)])
    tokens = AudioConditioning(Echo(), numbered(frames)).tokens(0, frames)
    assert torch.equal(tokens, whisper_windows(features, 0, frames))


def test_a_single_frame_of_audio_is_padded_with_silence():
    assert AudioConditioning(Echo(), numbered(1)).tokens(0, 16).shape == (16, 10, 3)


@pytest.mark.parametrize("frames", [751, 800, 1399, 1400, 1401, 1450, 3000])
def test_longer_audio_is_encoded_in_chunks_whose_edges_are_not_used(frames):
    tokens = AudioConditioning(Echo(), numbered(frames)).tokens(0, frames)
    own = tokens[:, 4]  # of the ten steps the one where the frame begins
    assert torch.equal(own[:, 0], torch.arange(frames).float())
    inside = slice(MARGIN_FRAMES, frames - MARGIN_FRAMES)
    to_edge = torch.minimum(own[inside, 1], own[inside, 2] - own[inside, 1])
    assert to_edge.min() >= MARGIN_FRAMES


def test_any_range_equals_that_of_the_whole_and_the_end_is_repeated():
    conditioning = AudioConditioning(Echo(), numbered(900))
    whole = conditioning.tokens(0, 900)
    for start in (0, 690, 700, 880):
        assert torch.equal(
            AudioConditioning(Echo(), numbered(900)).tokens(start, 16), whole[start:][:16]
        )
    assert conditioning.tokens(895, 16)[-1, :, 0].unique().tolist() == [899]
