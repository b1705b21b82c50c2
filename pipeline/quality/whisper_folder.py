"""Whisper by `transformers`, from a folder in Hugging Face's layout: language and text of a clip.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022). Nothing is
fetched, no pickle is read and no code of the folder is run. Of its files those that `files` names
are read and no other: sound is prepared as every Whisper has it (80 or 128 mel bands), and of the
generation's settings the tokens alone are taken.

Shape suffixes: N samples at 16 kHz, M mel bands, C mel columns, L languages, K tokens,
V vocabulary.
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import file_sha256
from pipeline.errors import LipforgeError, ParamsError, WeightsError
from pipeline.faults import Caught
from pipeline.quality.heard import Heard
from pipeline.tables.rows import SAMPLE_RATE_HZ

CONFIG, GENERATION, WEIGHTS = "config.json", "generation_config.json", "model.safetensors"
NEEDED = (CONFIG, GENERATION, WEIGHTS)
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Any of these groups, whole."""
OTHERS = (
    *("tokenizer_config.json", "normalizer.json", "added_tokens.json", "special_tokens_map.json"),
)
TOKENS = (
    *("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id"),
    *("no_timestamps_token_id", "lang_to_id", "task_to_id"),
    *("suppress_tokens", "begin_suppress_tokens"),
)
"""What is taken of generation_config.json: nothing there may change how a text is searched for."""
PROMPT_TOKENS = 4
"""Start, language, task, no time stamps."""
WARM_UP = np.zeros(SAMPLE_RATE_HZ, np.float32)
"""Heard once at the start: what does not fit together fails there, not on every clip."""


def files(folder: Path) -> dict[str, Path]:
    """Return file name -> path of what is loaded.

    Raises:
        WeightsError: the folder lacks a file.
    """
    absent = [name for name in NEEDED if not (folder / name).is_file()]
    tokenizer = [name for group in TOKENIZERS if _all(folder, group) for name in group]
    if not tokenizer:
        absent.append("tokenizer.json")
    if absent:
        raise WeightsError(
            f"quality.recognizer: {folder}: has no {', '.join(absent)}; it must be a whole Whisper "
            f"in one safetensors file, as `hf download openai/whisper-small --local-dir {folder}` "
            "gives it, or `save_pretrained` of model, generation_config and tokenizer"
        )
    others = [name for name in OTHERS if (folder / name).is_file()]
    return {name: folder / name for name in (*NEEDED, *tokenizer, *others)}


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
        """Load the model, and let it hear a second of silence.

        Raises:
            WeightsError: a file is absent, damaged, of another model, or does not fit the others.
        """
        files(folder)
        with Caught() as caught:  # transformers raises whatever its parsers raise
            self._load(folder)
            self.hear(WARM_UP)
        if isinstance(caught.error, LipforgeError):
            raise caught.error
        if caught.error is not None:
            raise WeightsError(f"{folder}: no Whisper model: {caught.error}") from caught.error

    def _load(self, folder: Path) -> None:
        # torch and transformers take seconds to import: only who asks for Whisper waits for them
        import torch
        from transformers import GenerationConfig, WhisperFeatureExtractor, WhisperTokenizer

        torch.set_num_threads(1)
        self._torch, tokens = torch, _tokens(folder)
        self._languages = _languages(folder, tokens)
        self._model = _network(folder)
        settings: Any = GenerationConfig
        self._model.generation_config = settings(**tokens, is_multilingual=True)
        self._tokenizer: Any = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
        _require_tokens(folder, self._tokenizer, self._model.config.vocab_size, tokens)
        extractor: Any = WhisperFeatureExtractor
        self._extractor = extractor(feature_size=self._model.config.num_mel_bins)
        self._most_tokens = int(self._model.config.max_target_positions) - PROMPT_TOKENS

    def hear(self, audio_N: NDArray[np.float32]) -> Heard:
        """Return what is said in a clip, and in which language.

        Args:
            audio_N: mono, full scale 1; what is behind 30 s is not heard.
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
                max_new_tokens=self._most_tokens,
                output_scores=True,
                return_dict_in_generate=True,
            )
            logs_K = self._model.compute_transition_scores(
                made.sequences, made.scores, normalize_logits=True
            )[0]
        return Heard(
            language=language,
            language_probability=probability,
            text=self._tokenizer.decode(made.sequences[0], skip_special_tokens=True),
            mean_log=float(logs_K.mean()) if len(logs_K) else 0.0,
            is_whole=len(made.scores) < self._most_tokens,
        )

    def _features(self, audio_N: NDArray[np.float32]) -> Any:
        given = self._extractor(audio_N, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        return given.input_features

    def _language(self, features_1MC: Any) -> tuple[str, float]:
        """Return the likeliest language and its probability among all that the model knows."""
        start = self._torch.tensor([[self._model.generation_config.decoder_start_token_id]])
        logits_V = self._model(features_1MC, decoder_input_ids=start).logits[0, -1]
        shares_L = logits_V[list(self._languages.values())].double().softmax(0)
        best = int(shares_L.argmax())
        return list(self._languages)[best], float(shares_L[best])


def _network(folder: Path) -> Any:
    """Load the weights, every one of them.

    Raises:
        WeightsError: of another kind of model, or the file lacks tensors or has others.
    """
    import torch
    from transformers import WhisperForConditionalGeneration

    config = _json(folder / CONFIG)
    if config.get("model_type") != "whisper" or "transformers_weights" in config:
        raise WeightsError(f"{folder / CONFIG}: not that of a Whisper whose weights are {WEIGHTS}")
    loader: Any = WhisperForConditionalGeneration
    model, found = loader.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    wrong = {kind: names for kind, names in found.items() if names and kind.endswith("keys")}
    if wrong:
        kind, names = next(iter(wrong.items()))
        named = ", ".join(sorted(map(str, names))[:3])
        raise WeightsError(f"{folder / WEIGHTS}: does not fit {CONFIG}: {kind}: {named}")
    return model


def _tokens(folder: Path) -> dict[str, Any]:
    stored = _json(folder / GENERATION)
    return {name: stored[name] for name in TOKENS if stored.get(name) is not None}


def _languages(folder: Path, tokens: Mapping[str, Any]) -> dict[str, int]:
    """Return language code -> token, from `<|en|>` and the like."""
    named = tokens.get("lang_to_id")
    if not isinstance(named, dict) or not named or "task_to_id" not in tokens:
        raise WeightsError(
            f"{folder / GENERATION}: has no lang_to_id and task_to_id: the model is English-only "
            "(a name that ends in .en), which tells no languages apart, or was saved by an old "
            "transformers: take the file of the multilingual model of its size"
        )
    return {token.strip("<|>"): int(number) for token, number in sorted(named.items())}


def _require_tokens(
    folder: Path, tokenizer: Any, vocabulary: int, tokens: Mapping[str, Any]
) -> None:
    """Check that a tokenizer is that of the model: else it writes nothing, or other words."""
    special = tokens["lang_to_id"]
    fits = all(tokenizer.convert_tokens_to_ids(name) == number for name, number in special.items())
    if not fits or len(tokenizer) > vocabulary or len(tokenizer) <= max(special.values()):
        raise WeightsError(f"{folder}: its tokenizer is not that of the model")
    words = set(range(min(special.values()))) - set(tokenizer.all_special_ids)
    if any(name is None for name in tokenizer.convert_ids_to_tokens(sorted(words))):
        raise WeightsError(f"{folder}: its tokenizer lacks words of the model")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path}: holds no JSON object")
    return found


def _all(folder: Path, names: tuple[str, ...]) -> bool:
    return all((folder / name).is_file() for name in names)
