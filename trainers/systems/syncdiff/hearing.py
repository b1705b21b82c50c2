"""What hears: the trained part between the features of the sound and the vector of a frame.

Shape suffixes: B frames, K features of a frame (25 of AV-HuBERT, 1 of mel), D their width.
"""

from torch import Tensor, nn

from trainers.frozen.av_hubert import AvHubertLayers
from trainers.frozen.av_hubert_files import is_av_hubert, load_last_layers, parsed
from trainers.frozen.mel_tokens import MelTokens
from trainers.systems.syncdiff.configs import SOUND_WIDTH

HIDDEN = 512
"""Width of the layer between `mel` and the vector. Ours."""


class MelHearing(nn.Module):
    """A small network for `mel`'s window of the spectrogram. Ours."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(MelTokens.width, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, SOUND_WIDTH)
        )

    def forward(self, tokens_BKD: Tensor) -> Tensor:
        """Return the vectors (B, 768) of windows (B, 1, 260)."""
        vectors: Tensor = self.net(tokens_BKD[:, 0])
        return vectors


class AvHubertHearing(nn.Module):
    """The last layers of AV-HuBERT: what they give for the frame in the middle of the window."""

    def __init__(self, layers: AvHubertLayers) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, states_BKD: Tensor) -> Tensor:
        """Return the vectors (B, 768) of windows (B, 25, 768) of the frozen layers' states."""
        vectors: Tensor = self.layers(states_BKD)[:, states_BKD.shape[1] // 2]
        return vectors


def new_hearing(audio: str) -> nn.Module:
    """Return what hears the features of a front end, as training begins.

    Args:
        audio: `mel`, or AV-HuBERT's name with its frozen layers.

    Raises:
        ParamsError, WeightsError: as the front end.
    """
    return AvHubertHearing(load_last_layers(audio)) if is_av_hubert(audio) else MelHearing()


def empty_hearing(audio: str) -> nn.Module:
    """Return the same with any weights, without a file: to be filled.

    Raises:
        ParamsError: the name is none of AV-HuBERT's.
    """
    if not is_av_hubert(audio):
        return MelHearing()
    wanted = parsed(audio)
    return AvHubertHearing(AvHubertLayers(wanted.frozen_layers, wanted.size))
