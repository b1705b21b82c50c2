"""Moonshine tiny, an English speech recognizer of 27 million weights, run by ONNX Runtime.

Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (2024).
The quantized weights are those in the wheel `moonshine-voice` 0.0.62 (MIT): an encoder that takes
the waveform, a decoder with a cache of keys and values, a list of tokens.

Shape suffixes: N samples at 16 kHz, S steps of the encoder, D its width, V tokens.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import WeightsError
from pipeline.quality.heard import Heard
from pipeline.tables.rows import SAMPLE_RATE_HZ
from pipeline.weights.files import path_of, sha256_of
from pipeline.weights.onnx_sessions import open_on_cpu

ENCODER, DECODER = "moonshine_tiny_en_encoder.ort", "moonshine_tiny_en_decoder.ort"
TOKENS = "moonshine_tiny_en_tokens.bin"
FILES = (ENCODER, DECODER, TOKENS)
FETCH = f"run `lipforge weights fetch {' '.join(FILES)}`"
START, END = 1, 2
HEADS, HEAD_WIDTH = 8, 36
TOKENS_PER_SECOND = 6.5
"""At most: the limit its authors recommend, as the network repeats itself on what is no English."""
MIN_SAMPLES = 1600
"""0.1 s: the encoder's convolutions need more than 0.06 s."""
WORD_START = "\u2581"


def digests() -> Mapping[str, str]:
    """Return file name -> SHA-256.

    Raises:
        WeightsError: a file is absent or altered; the message says how to fetch all three.
    """
    return {name: sha256_of(name) for name in _paths()}


def _paths() -> Mapping[str, Path]:
    try:
        return {name: path_of(name) for name in FILES}
    except WeightsError as error:
        said = str(error).partition(";")[0]
        raise WeightsError(f"quality.recognizer: moonshine-tiny-en: {said}; {FETCH}") from error


class Moonshine:
    """The network on one thread, most probable token by token."""

    def __init__(self) -> None:
        """Load the weights.

        Raises:
            WeightsError: a file is absent or altered.
        """
        paths = _paths()
        self._encoder = open_on_cpu(str(paths[ENCODER]))
        self._decoder = open_on_cpu(str(paths[DECODER]))
        self._past = [one.name for one in self._decoder.get_inputs() if one.name.startswith("past")]
        self._outputs = [one.name for one in self._decoder.get_outputs()]
        self._tokens = read_tokens(paths[TOKENS].read_bytes())

    def hear(self, audio_N: NDArray[np.float32]) -> Heard:
        """Return what is said, in no language.

        Args:
            audio_N: mono, full scale 1.
        """
        if len(audio_N) < MIN_SAMPLES:
            return Heard(None, None, "", 0.0, is_whole=True)
        said = list(self._decoded(audio_N[None].astype(np.float32)))
        words = [one for one in said if one[0] != END]
        raw = b"".join(self._tokens[token] for token, _ in words)
        text = raw.decode("utf-8", "replace").replace(WORD_START, " ")
        mean_log = float(np.mean([log for _, log in words])) if words else 0.0
        return Heard(None, None, text, mean_log, is_whole=said[-1][0] == END)

    def _decoded(self, audio_1N: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        """Yield (token, log probability) up to the end, or to as many as the sound can hold."""
        mask_1N = np.ones(audio_1N.shape, np.int64)
        heard = {"input_values": audio_1N, "attention_mask": mask_1N}
        states_1SD = self._encoder.run(None, heard)[0]
        given: dict[str, Any] = {
            "encoder_hidden_states": states_1SD,
            "encoder_attention_mask": mask_1N,
            "use_cache_branch": np.array([False]),
            **{name: np.zeros((1, HEADS, 0, HEAD_WIDTH), np.float32) for name in self._past},
        }
        token = START
        for _ in range(int(audio_1N.size / SAMPLE_RATE_HZ * TOKENS_PER_SECOND) + 1):
            given["input_ids"] = np.array([[token]], np.int64)
            made = dict(zip(self._outputs, self._decoder.run(None, given), strict=True))
            token, log = _likeliest(made["logits"][0, -1])
            yield token, log
            if token == END:
                return
            self._keep(made, given)

    def _keep(self, made: Mapping[str, Any], given: dict[str, Any]) -> None:
        """Take over keys and values; the encoder's are made by the first token alone."""
        first = not given["use_cache_branch"][0]
        for name in self._past:
            if first or ".decoder." in name:
                given[name] = made[name.replace("past_key_values", "present")]
        given["use_cache_branch"] = np.array([True])


def _likeliest(logits_V: NDArray[np.float32]) -> tuple[int, float]:
    token = int(logits_V.argmax())
    wide_V = logits_V.astype(np.float64) - float(logits_V[token])
    return token, -float(np.log(np.exp(wide_V).sum()))


def read_tokens(content: bytes) -> list[bytes]:
    """Return all tokens: each is its length, then so many bytes.

    A length of 128 and more takes two bytes, the lower seven bits first.

    Raises:
        WeightsError: the bytes are no such list.
    """
    found, at = [], 0
    while at < len(content):
        length, at = content[at], at + 1
        if length >= 128 and at < len(content):
            length, at = length - 128 + 128 * content[at], at + 1
        found.append(content[at : at + length])
        at += length
    if at != len(content) or len(found) <= END:
        raise WeightsError(f"{TOKENS}: no list of tokens; {FETCH}")
    return found
