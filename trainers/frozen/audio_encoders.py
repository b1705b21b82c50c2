"""The encoder of a diffusion model's sound by name: Whisper, AV-HuBERT, a stand-in, or `mel`.

Shape suffixes: N samples, T steps, L layers, D width, F video frames, K tokens of a frame.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import ParamsError
from trainers.frozen.av_hubert import av_hubert_windows
from trainers.frozen.av_hubert_files import av_hubert_sha256, is_av_hubert, load_front, parsed
from trainers.frozen.mel_tokens import MEL, MelTokens, mel_token_windows
from trainers.frozen.stand_ins import STAND_IN
from trainers.frozen.whisper import whisper_windows
from trainers.frozen.whisper_files import (
    FILES,
    SIZES,
    WhisperIdentity,
    load_whisper,
    whisper_identity,
)

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
    """Load an encoder, frozen, float32 on the CPU.

    Args:
        source: `mel`, the first layers of AV-HuBERT (av_hubert_files.py), or what `load_whisper`
            takes.

    Raises:
        ParamsError: no such stand-in.
        WeightsError: the file is absent, altered or not of this encoder.
    """
    if is_av_hubert(str(source)):
        return load_front(str(source))
    return MelTokens() if str(source) == MEL else load_whisper(source)


def require_known_encoder(source: str, key: str, also: Sequence[str] = ()) -> None:
    """Fail if a source is no encoder's name, no file and no folder; loads nothing.

    Args:
        key: file and key that name it, for the message.
        also: other values that are possible there, for the message.

    Raises:
        ParamsError: with key and known names.
    """
    if is_av_hubert(source):
        parsed(source)
        return
    known = [*also, MEL, *FILES, *(STAND_IN + size for size in SIZES)]
    if source not in known and (source.startswith(STAND_IN) or not Path(source).exists()):
        raise ParamsError(
            f"{key}: {source!r} is no name of an encoder, and no such file is there; known: "
            f"{', '.join(known)}, a .pt file of OpenAI, a folder of Hugging Face"
        )


def audio_identity(source: str | Path) -> WhisperIdentity:
    """Return the identity of what `load_audio_encoder` would load.

    Raises:
        ParamsError, WeightsError: as there.
    """
    if is_av_hubert(str(source)):
        return WhisperIdentity(parsed(str(source)).name, av_hubert_sha256(str(source)))
    return WhisperIdentity(MEL, {}) if str(source) == MEL else whisper_identity(source)


def windows_of(source: str | Path) -> Windows:
    """Return how an encoder's features are cut into the tokens of frames, without loading it."""
    if is_av_hubert(str(source)):
        return av_hubert_windows
    return mel_token_windows if str(source) == MEL else whisper_windows
