"""Whisper features computed in the data loader, once per decoded clip, without intermediate files.

For small datasets and trials; for large runs the `features` stage computes them once in advance.
The cost is one encoder pass per 30 s of each decoded clip, shared by all its windows.
"""

from dataclasses import dataclass
from functools import cache

from torch import Tensor

from trainers.data.clip import DecodedClip
from trainers.frozen.whisper import WhisperFeatures
from trainers.frozen.whisper_files import load_whisper


@dataclass(frozen=True, slots=True)
class OnTheFlyWhisper:
    """A loader's `prepare`: computes the features (T, L, D) for `DecodedClip.prepared`.

    Every process loads its own encoder for its first clip; `source` is that of `load_whisper`.
    """

    source: str

    def __call__(self, clip: DecodedClip) -> Tensor:
        """Encode the whole clip on the CPU.

        Raises:
            ParamsError: no such stand-in.
            WeightsError: the file is absent or not a Whisper encoder.
        """
        return _encoder(self.source).features([clip.audio])[0]


@cache
def _encoder(source: str) -> WhisperFeatures:
    return load_whisper(source)
