"""The encoder of the diffusion model's sound by name: Whisper, a stand-in of it, or `mel`.

Shape suffixes: N samples, T steps, L layers, D width, F video frames, K tokens of a frame.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from trainers.frozen.mel_tokens import MEL, MelTokens, mel_token_windows
from trainers.frozen.whisper import whisper_windows
from trainers.frozen.whisper_files import WhisperIdentity, load_whisper, whisper_identity

Windows = Callable[[Tensor, int, int], Tensor]
"""(features (T, L, D), first frame, frames) -> tokens (F, K, D)."""


class AudioEncoder(Protocol):
    """What training and dubbing need of an encoder; an `nn.Module` as well."""

    @property
    def name(self) -> str:
        """Name for logs, metrics and checkpoints."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """Digest of every weights file, by name."""

    @property
    def is_stand_in(self) -> bool:
        """Whether the weights are random."""

    @property
    def num_layers(self) -> int:
        """L"""

    @property
    def width(self) -> int:
        """D"""

    def features(self, clips: Sequence[NDArray[Any]], chunks_at_once: int = 16) -> list[Tensor]:
        """Return the features (T, L, D) of whole clips."""

    def windows(self, features_TLD: Tensor, start_frame: int, num_frames: int = 16) -> Tensor:
        """Return the tokens (F, K, D) of video frames."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move the weights, as any module."""


def load_audio_encoder(source: str | Path) -> AudioEncoder:
    """Load an encoder, frozen, float32 on the CPU: `mel`, or what `load_whisper` takes.

    Raises:
        ParamsError: no such stand-in.
        WeightsError: the file is absent, altered or not a Whisper encoder.
    """
    return MelTokens() if str(source) == MEL else load_whisper(source)


def audio_identity(source: str | Path) -> WhisperIdentity:
    """Return the identity of what `load_audio_encoder` would load.

    Raises:
        ParamsError, WeightsError: as there.
    """
    return WhisperIdentity(MEL, {}) if str(source) == MEL else whisper_identity(source)


def windows_of(source: str | Path) -> Windows:
    """Return how an encoder's features are cut into the tokens of frames, without loading it."""
    return mel_token_windows if str(source) == MEL else whisper_windows
