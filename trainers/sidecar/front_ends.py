"""Frozen front ends whose features of sound the stage `features` can store: by name.

The name is a key of `features` in params.yaml; its value names the encoder. Imports nothing heavy:
a front end's own functions do, when they are called.

Shape suffixes: T steps, L layers, D width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from numpy.typing import NDArray

from trainers.sidecar.layout import FEATURES, NONE

if TYPE_CHECKING:
    from torch import Tensor


class EncoderIdentity(Protocol):
    """Name and digests of an encoder; equal ones give equal features."""

    @property
    def name(self) -> str:
        """For index and messages; starts with `stand-in:` if the weights are random."""

    @property
    def sha256(self) -> Mapping[str, str]:
        """Digest of every weights file, by name; empty for a stand-in."""


class SoundEncoder(EncoderIdentity, Protocol):
    """A loaded encoder, frozen, in eval mode."""

    def features(self, clips: Sequence[NDArray[Any]]) -> "list[Tensor]":
        """Return the features (T, L, D), float32, of whole clips: int16, mono, 16 kHz.

        Raises:
            ValueError: a clip is too short.
        """

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the weights, as any module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """One kind of encoder. Its functions are of a module's top level, so that workers get them."""

    name: str
    """Key of `features` in params.yaml, and of the encoder's name in the index."""
    folder: str
    """Of its files inside of data/features; empty for Whisper, which has data/features itself."""
    what: str
    """In messages: `Whisper features`."""
    steps_per_second: int
    require_known: Callable[[str, str], None]
    """(value, key for the message): fails with ParamsError if no such encoder is known."""
    identity: Callable[[str], EncoderIdentity]
    """Value -> what `load` would load, without loading it."""
    load: Callable[[str], SoundEncoder]

    @property
    def stage(self) -> str:
        """Name of the stage that encodes the clips: of its items in the cache."""
        return FEATURES if not self.folder else f"{FEATURES}_{self.folder}"

    @property
    def below(self) -> str:
        """Folder of its tars at $LIPFORGE_SHARDS."""
        return FEATURES if not self.folder else f"{FEATURES}/{self.folder}"

    def inside(self, features: str) -> str:
        """Return its folder inside of data/features, a folder or a URL."""
        root = features.rstrip("/")
        return f"{root}/{self.folder}" if self.folder else root


def _whisper_is_known(source: str, key: str) -> None:
    from trainers.frozen.audio_encoders import require_known_encoder

    require_known_encoder(source, key, also=(NONE,))


def _identity(source: str) -> EncoderIdentity:
    from trainers.frozen.audio_encoders import audio_identity

    return audio_identity(source)


def _load(source: str) -> SoundEncoder:
    from trainers.frozen.audio_encoders import load_audio_encoder

    return load_audio_encoder(source)


WHISPER = FrontEnd(
    name="whisper",
    folder="",
    what="Whisper features",
    steps_per_second=50,
    require_known=_whisper_is_known,
    identity=_identity,
    load=_load,
)


def _av_hubert_is_known(source: str, key: str) -> None:
    from trainers.frozen.av_hubert_files import require_known_front

    require_known_front(source, key, also=(NONE,))


AV_HUBERT = FrontEnd(
    name="av_hubert",
    folder="av_hubert",
    what="features of AV-HuBERT's frozen layers",
    steps_per_second=25,
    require_known=_av_hubert_is_known,
    identity=_identity,
    load=_load,
)
FRONT_ENDS: tuple[FrontEnd, ...] = (WHISPER, AV_HUBERT)
"""Each has a key of its name in `FeaturesParams`, `none` by default, and a folder of its own."""
