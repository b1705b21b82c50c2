"""Phoneme-timed speech from eSpeak NG, the one place that loads it (GPL-3, optional extra `demo`).

The library keeps global state that leaks from one text into the next, and draws random numbers
seeded by the clock, so every text is spoken in a fresh process with a fixed seed: equal arguments
give equal samples. The constants are those of speak_lib.h.
"""

import ctypes
import importlib
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import LipforgeError

INSTALL = "pip install 'lipforge[demo]'"
WORDS_PER_MINUTE = 150

_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS_IN_IPA = 3
_CHARS_UTF8 = 1
_RATE, _PITCH = 1, 3
_EVENT_END, _EVENT_PHONEME = 0, 7
_CHUNK_MS = 100
_DEADLINE_S = 60.0
_SEED = 1


class SpeechError(LipforgeError):
    """eSpeak NG is not installed, or could not speak this text in this voice."""


class Phoneme(NamedTuple):
    """One event of the synthesizer; `ipa` is empty for silence."""

    time_s: float
    ipa: str


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said: mono samples and the beginning of every phoneme."""

    samples: NDArray[np.int16]
    rate_hz: int
    phonemes: tuple[Phoneme, ...]

    @property
    def duration_s(self) -> float:
        """Length of the sound in seconds."""
        return len(self.samples) / self.rate_hz


def speak(
    text: str, voice: str, words_per_minute: int = WORDS_PER_MINUTE, pitch: int = 50
) -> Speech:
    """Speak `text`.

    Args:
        voice: eSpeak's name of a language and, after `+`, a variant: `en-us+f3`, `de`, `fr`.
        words_per_minute: 80 to 450.
        pitch: 0 to 100.

    Raises:
        SpeechError: the extra `demo` is not installed, or there is no such voice.
    """
    _loader()
    command = [sys.executable, "-m", "pipeline.demo.speech", voice]
    command += [str(words_per_minute), str(pitch)]
    done = subprocess.run(
        command,
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=_DEADLINE_S,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SpeechError(f"eSpeak NG, voice {voice!r}: {said[-1] if said else done.returncode}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as spoken:
        marks = zip(spoken["times_s"].tolist(), spoken["ipa"].tolist(), strict=True)
        phonemes = tuple(Phoneme(time_s, ipa) for time_s, ipa in marks)
        return Speech(spoken["samples"], int(spoken["rate_hz"]), phonemes)


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback: Callable[..., Any] = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def _loader() -> Any:
    try:
        return importlib.import_module("espeakng_loader")
    except ImportError as error:
        raise SpeechError(f"the demo needs eSpeak NG: {INSTALL}") from error


def _speak_here(text: str, voice: str, words_per_minute: int, pitch: int) -> Speech:
    """Speak in this process; call it once per process only."""
    loader = _loader()
    library = ctypes.CDLL(loader.get_library_path())
    data = loader.get_data_path().encode()
    rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, _CHUNK_MS, data, _PHONEME_EVENTS_IN_IPA)
    if rate <= 0 or library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise SpeechError("no such voice" if rate > 0 else "the library did not start")
    library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))  # it was seeded with the clock
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    chunks: list[NDArray[np.int16]] = []
    phonemes: list[Phoneme] = []
    callback = _Callback(_collector(chunks, phonemes))
    library.espeak_SetSynthCallback(callback)
    content = text.encode()
    library.espeak_Synth(content, len(content) + 1, 0, 1, 0, _CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    if not chunks:
        raise SpeechError(f"nothing to say in {text!r}")
    return Speech(np.concatenate(chunks), rate, tuple(phonemes))


def _collector(chunks: list[NDArray[np.int16]], phonemes: list[Phoneme]) -> Callable[..., int]:
    def collect(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).astype(np.int16))
        index = 0
        while events[index].type != _EVENT_END:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                ipa = bytes(event.id.string).decode("utf-8", "ignore")
                phonemes.append(Phoneme(event.audio_position / 1000.0, ipa))
            index += 1
        return 0

    return collect


def _main(arguments: list[str]) -> None:
    """Speak standard input and write an npz archive to standard output."""
    voice, words_per_minute, pitch = arguments
    text = sys.stdin.buffer.read().decode()
    try:
        speech = _speak_here(text, voice, int(words_per_minute), int(pitch))
    except SpeechError as error:
        sys.exit(str(error))
    archive = io.BytesIO()
    np.savez(
        archive,
        samples=speech.samples,
        rate_hz=speech.rate_hz,
        times_s=np.array([p.time_s for p in speech.phonemes]),
        ipa=np.array([p.ipa for p in speech.phonemes], dtype=np.str_),
    )
    sys.stdout.buffer.write(archive.getvalue())


if __name__ == "__main__":
    _main(sys.argv[1:])
