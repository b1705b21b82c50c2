"""Whisper by `transformers`, from a folder in Hugging Face's layout: language and text of a clip.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022). Nothing is
fetched, no pickle is read: the folder holds `model.safetensors` and the files of its tokenizer.

Shape suffixes: N samples at 16 kHz, M mel bands, C mel columns, L languages, K tokens.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from pipeline.digest import file_sha256
from pipeline.errors import ParamsError, WeightsError
from pipeline.tables.rows import SAMPLE_RATE_HZ

NEEDED = ("config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json")
OTHERS = (
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"),
    *("normalizer.json", "added_tokens.json", "special_tokens_map.json"),
)
"""Of the tokenizer: which of them there are depends on who saved the model."""
DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError),
    SafetensorError,
)
"""What transformers raises for files that are no model, no tokenizer or those of another."""
MAX_NEW_TOKENS = 200
"""Whisper's decoder has 448 places; ten seconds of speech take some 60."""


def files(folder: Path) -> dict[str, Path]:
    """Return file name -> path of what is loaded.

    Raises:
        WeightsError: the folder lacks a file.
    """
    absent = [name for name in NEEDED if not (folder / name).is_file()]
    if absent:
        raise WeightsError(
            f"quality.recognizer: {folder}: has no {', '.join(absent)}; get the whole model, for "
            f"example `hf download openai/whisper-small --local-dir {folder}`"
        )
    names = (*NEEDED, *(name for name in OTHERS if (folder / name).is_file()))
    return {name: folder / name for name in names}


def digests(folder: Path) -> dict[str, str]:
    """Return file name -> SHA-256.

    Raises:
        ParamsError: `transformers` is not installed.
        WeightsError: a file is absent or cannot be read.
    """
    if find_spec("transformers") is None:
        raise ParamsError(
            "params.yaml: quality.recognizer: whisper needs the package transformers: "
            "pip install 'lipforge[transcripts]', or set it to none"
        )
    try:
        return {name: file_sha256(path) for name, path in files(folder).items()}
    except OSError as error:
        raise WeightsError(f"{folder}: cannot be read: {error}") from error


class WhisperFolder:
    """One model on one thread of the CPU; most probable token by token."""

    def __init__(self, folder: Path) -> None:
        """Load the model.

        Raises:
            WeightsError: a file is absent, damaged, or not a multilingual Whisper's.
        """
        # torch and transformers take seconds to import: only who asks for Whisper waits for them
        import torch
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        torch.set_num_threads(1)
        self.folder, self._torch = folder, torch
        files(folder)
        try:
            self._model: Any = WhisperForConditionalGeneration.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            self._processor: Any = WhisperProcessor.from_pretrained(folder, local_files_only=True)
        except DAMAGED as error:
            raise WeightsError(f"{folder}: no Whisper model: {error}") from error
        self._languages = self._codes()

    def hear(self, audio_N: NDArray[np.float32]) -> tuple[str | None, float | None, str, float]:
        """Return language, its probability, text, and the mean log probability of its tokens.

        Args:
            audio_N: mono, full scale 1, at most 30 s.
        """
        with self._torch.inference_mode():
            features_1MC = self._features(audio_N)
            language, probability = self._language(features_1MC)
            made = self._model.generate(
                features_1MC,
                language=language,
                task="transcribe",
                do_sample=False,
                num_beams=1,
                max_new_tokens=MAX_NEW_TOKENS,
                output_scores=True,
                return_dict_in_generate=True,
            )
            logs_K = self._model.compute_transition_scores(
                made.sequences, made.scores, normalize_logits=True
            )[0]
        text = self._processor.decode(made.sequences[0], skip_special_tokens=True)
        return language, probability, text, float(logs_K.mean()) if len(logs_K) else 0.0

    def _features(self, audio_N: NDArray[np.float32]) -> Any:
        given = self._processor(audio_N, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        return given.input_features

    def _language(self, features_1MC: Any) -> tuple[str, float]:
        """Return the likeliest language and its probability among all that the model knows."""
        start = self._torch.tensor([[self._model.generation_config.decoder_start_token_id]])
        logits_V = self._model(features_1MC, decoder_input_ids=start).logits[0, -1]
        shares_L = logits_V[list(self._languages.values())].double().softmax(0)
        best = int(shares_L.argmax())
        return list(self._languages)[best], float(shares_L[best])

    def _codes(self) -> Mapping[str, int]:
        """Return language code -> token, from `<|en|>` and the like."""
        named = getattr(self._model.generation_config, "lang_to_id", None)
        if not named:
            raise WeightsError(
                f"{self.folder}: generation_config.json has no lang_to_id: an English-only Whisper "
                "does not tell languages apart; take one whose name does not end in .en"
            )
        return {token.strip("<|>"): number for token, number in sorted(named.items())}
