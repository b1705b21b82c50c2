"""A Whisper of random weights in Hugging Face's layout: real files, words that mean nothing."""

from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

LANGUAGES = ("de", "en", "fr", "ja")
END, START, NO_TIMES = "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"
TASKS = ("<|transcribe|>", "<|translate|>")


def write_whisper(folder: Path, seed: int = 0) -> Path:
    """Write a whole model of 64 numbers a step, and return its folder."""
    tongues = [f"<|{code}|>" for code in LANGUAGES]
    special = [END, START, *tongues, *TASKS, NO_TIMES]
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocab = {token: number for number, token in enumerate([*letters, "\u0120", *special])}
    tokenizer = WhisperTokenizer(vocab=vocab, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": special[1:]})
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    torch.manual_seed(seed)
    config = WhisperConfig(
        vocab_size=len(vocab),
        d_model=64,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        init_std=0.5,
        pad_token_id=vocab[END],
        bos_token_id=vocab[END],
        eos_token_id=vocab[END],
        decoder_start_token_id=vocab[START],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=vocab[START],
        eos_token_id=vocab[END],
        pad_token_id=vocab[END],
        lang_to_id={token: vocab[token] for token in tongues},
        task_to_id={token.strip("<|>"): vocab[token] for token in TASKS},
        no_timestamps_token_id=vocab[NO_TIMES],
        is_multilingual=True,
        max_length=448,
    )
    model.save_pretrained(folder)
    return folder
