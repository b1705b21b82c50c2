"""What is said in a clip, and in which language: by the recognizer that params.yaml names.

`moonshine-tiny-en` hears English and takes everything for English; `whisper:FOLDER` is any Whisper
model in Hugging Face's layout and says which language it hears. `none`, the default: not asked.

Shape suffix: N samples at 16 kHz.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParamsError, WeightsError
from pipeline.quality import moonshine, whisper_folder
from pipeline.quality.heard import Heard
from pipeline.weights.sharing import portable_path

NONE, MOONSHINE, WHISPER = "none", "moonshine-tiny-en", "whisper:"
DECIMALS = 3
MAX_COMPRESSION = 2.4
"""By zlib: a text that shrinks more repeats itself. The limit of Whisper's own decoding."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What `quality` stores of speech."""

    language: str | None
    """ISO 639 code as Whisper writes it; None where the recognizer knows one language alone, or
    nobody speaks."""
    language_probability: float | None
    transcript: str
    """As the recognizer writes it, one line; empty where nobody speaks."""
    transcript_confidence: float | None
    """Geometric mean of the tokens' probabilities, 0 to 1; 0 where the text repeats itself or was
    cut off, as happens on what a recognizer does not understand; None where there is no text."""


NOTHING_SAID = Transcript(None, None, "", None)


class Recognizer(Protocol):
    """What both recognizers can do."""

    def hear(self, audio_N: NDArray[np.float32]) -> Heard:
        """Return what is said in a clip, mono, full scale 1."""
        ...


def transcribe(audio_N: NDArray[np.float32], is_speech: bool, recognizer: Recognizer) -> Transcript:
    """Return what is said in a clip; nothing is asked of the recognizer where nobody speaks.

    Recognizers write words for noise and music: Silero VAD decides first whether there are any.

    Args:
        audio_N: mono, full scale 1.

    Raises:
        WeightsError: the recognizer gives no numbers.
    """
    if not is_speech:
        return NOTHING_SAID
    heard = recognizer.hear(audio_N)
    probability, text = heard.language_probability, " ".join(heard.text.split())
    if not np.isfinite([heard.mean_log, probability or 0.0]).all():
        raise WeightsError("quality.recognizer: it gives no numbers; its weights are damaged")
    doubtful = not heard.is_whole or repeats_itself(text)
    confidence = 0.0 if doubtful else round(float(np.exp(heard.mean_log)), DECIMALS)
    return Transcript(
        language=heard.language,
        language_probability=None if probability is None else round(probability, DECIMALS),
        transcript=text,
        transcript_confidence=confidence if text else None,
    )


def repeats_itself(text: str) -> bool:
    """Return whether a text is mostly the same words again.

    A letter counts as one byte: in UTF-8 three bytes of an Indian letter shrink by themselves.
    """
    letters: dict[str, int] = {}
    content = bytes(letters.setdefault(one, len(letters)) % 256 for one in text)
    return len(content) > MAX_COMPRESSION * len(zlib.compress(content))


def open_recognizer(name: str) -> Recognizer | None:
    """Load a recognizer; None for `none`.

    Raises:
        WeightsError: its weights are absent, altered or of another kind.
    """
    if name == NONE:
        return None
    if name == MOONSHINE:
        return moonshine.Moonshine()
    return whisper_folder.WhisperFolder(folder_of(name))


def folder_of(name: str) -> Path:
    """Return the folder of `whisper:FOLDER`, on whichever machine this is.

    Raises:
        ParamsError: its `~` names nobody.
    """
    try:
        return Path(name.removeprefix(WHISPER)).expanduser()
    except RuntimeError as error:
        raise ParamsError(f"params.yaml: quality.recognizer: {name}: {error}") from error


def portable(name: str) -> str:
    """Return a name by which workers find the folder where the agreement of a cluster puts it."""
    return f"{WHISPER}{portable_path(folder_of(name))}" if name.startswith(WHISPER) else name


def recognizer_digests(name: str) -> Mapping[str, str]:
    """Return file name -> SHA-256 of what a recognizer loads.

    Raises:
        ParamsError: the package that runs it is not installed.
        WeightsError: a file is absent or altered.
    """
    if name == NONE:
        return {}
    if name == MOONSHINE:
        return moonshine.digests()
    return whisper_folder.digests(folder_of(name))


def own_files(name: str) -> Mapping[str, Path]:
    """Return file name -> path of what the user named, for `Stage.own_weights`."""
    return whisper_folder.files(folder_of(name)) if name.startswith(WHISPER) else {}


def kind_of(name: str) -> str:
    """Return the name without the folder: what goes into a cache key beside the digests."""
    return name.split(":")[0]
