"""Tokens of long sound: pieces that overlap, and nothing used from a piece's edge."""

import numpy as np
import pytest
import torch

from trainers.dubbing.hearing import MARGIN_FRAMES, PIECE_FRAMES, Hearing
from trainers.frozen.whisper import whisper_windows


class Echo:
    """Features of a step: the frame it lies on, where it lies in its piece, and how long that is.

    The sound holds its frame's number.
    """

    def features(self, clips):
        assert len(clips[0]) <= PIECE_FRAMES * 640
        values = torch.from_numpy(np.ascontiguousarray(clips[0][::320])).float()
        place = torch.arange(len(values)) / 2
        length = torch.full_like(place, len(values) / 2)
        return [torch.stack([values, place, length], 1)[:, None]]


def numbered(frames):
    return np.repeat(np.arange(frames), 640).astype(np.int16)


@pytest.mark.parametrize("frames", [2, 40, 750])
def test_sound_of_up_to_30_seconds_is_heard_as_a_whole(frames):
    (features,) = Echo().features([numbered(frames)])
    heard = Hearing(Echo(), numbered(frames)).tokens(0, frames)
    assert torch.equal(heard, whisper_windows(features, 0, frames))


def test_a_single_frame_of_sound_is_filled_up_with_silence():
    assert Hearing(Echo(), numbered(1)).tokens(0, 16).shape == (16, 10, 3)


@pytest.mark.parametrize("frames", [751, 800, 1399, 1400, 1401, 1450, 3000])
def test_longer_sound_is_heard_in_pieces_whose_edges_are_not_used(frames):
    heard = Hearing(Echo(), numbered(frames)).tokens(0, frames)
    own = heard[:, 4]  # of the ten steps the one where the frame begins
    assert torch.equal(own[:, 0], torch.arange(frames).float())
    inside = slice(MARGIN_FRAMES, frames - MARGIN_FRAMES)
    to_edge = torch.minimum(own[inside, 1], own[inside, 2] - own[inside, 1])
    assert to_edge.min() >= MARGIN_FRAMES


def test_any_stretch_is_heard_as_in_one_go_and_goes_on_behind_the_end():
    hearing = Hearing(Echo(), numbered(900))
    whole = hearing.tokens(0, 900)
    for start in (0, 690, 700, 880):
        assert torch.equal(Hearing(Echo(), numbered(900)).tokens(start, 16), whole[start:][:16])
    assert hearing.tokens(895, 16)[-1, :, 0].unique().tolist() == [899]
