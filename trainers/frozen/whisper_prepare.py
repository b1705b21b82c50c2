"""Whisper's features made in the data loader, once per decoded clip: no stage, no files between.

For large runs make them once and for all (the `features` stage); this is for small sets and for
trying things out. The cost is one encoder run of 30 s per decode, shared by all windows.
"""

from dataclasses import dataclass
from functools import cache

from torch import Tensor

from trainers.data.clip import DecodedClip
from trainers.frozen.whisper import WhisperFeatures
from trainers.frozen.whisper_files import load_whisper


@dataclass(frozen=True, slots=True)
class PrepareWhisper:
    """A loader's `prepare`: puts features (T, L, D) into `DecodedClip.prepared`.

    Every process loads its own encoder at its first clip; `source` is that of `load_whisper`.
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
