"""Audio features computed in the data loader, once per decoded clip, without intermediate files.

For small datasets and trials; for large runs the `features` stage computes them once in advance.
The cost is one encoder pass per 30 s of each decoded clip, shared by all its windows.
"""

from dataclasses import dataclass
from functools import cache

from torch import Tensor

from trainers.data.clip import DecodedClip
from trainers.frozen.audio_encoders import AudioEncoder, load_audio_encoder


@dataclass(frozen=True, slots=True)
class EncodeOnTheFly:
    """A loader's `prepare`: computes the features (T, L, D) for `DecodedClip.prepared`.

    Every process loads its own encoder for its first clip; `source` is one of
    `load_audio_encoder`.
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
def _encoder(source: str) -> AudioEncoder:
    return load_audio_encoder(source)
