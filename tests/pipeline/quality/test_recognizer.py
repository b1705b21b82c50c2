"""What is said, by Moonshine's real weights and by a Whisper of random ones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.demo.speech import speak
from pipeline.errors import ParamsError, WeightsError
from pipeline.params.curation import Params, QualityParams
from pipeline.quality import moonshine
from pipeline.quality.faces_seen import FacesSeen
from pipeline.quality.recognizer import (
    NOTHING_SAID,
    Recognizer,
    open_recognizer,
    recognizer_digests,
    repeats_itself,
    transcribe,
)
from pipeline.quality.whisper_folder import WhisperFolder
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ
from pipeline.weights import files as weights
from stages.quality import ClipToMeasure, QualityStage
from tests.pipeline.quality.small_whisper import LANGUAGES, english_only, write_whisper
from tests.pipeline.quality.synthetic import Recipe, make_clip

SENTENCE = "The weather in the mountains changes quickly. Take a warm coat with you."


class Scripted:
    """A recognizer that says what it was told to."""

    def __init__(self, text: str, mean_log: float = -0.5) -> None:
        self.text, self.mean_log, self.asked = text, mean_log, 0

    def hear(self, audio_N: np.ndarray) -> tuple[str | None, float | None, str, float]:
        self.asked += 1
        return "en", 0.98765, self.text, self.mean_log


@pytest.fixture(scope="module")
def moonshine_fetched() -> Recognizer:
    weights.fetch(moonshine.FILES)
    return moonshine.Moonshine()


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    speech = speak(SENTENCE, "en-us", 150, 50)
    heard = speech.samples / 32768
    at = np.arange(0, len(heard), speech.rate_hz / SAMPLE_RATE_HZ)
    return np.interp(at, np.arange(len(heard)), heard).astype(np.float32)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


def noise(seed: int, seconds: float = 2.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (0.1 * generator.normal(size=int(seconds * SAMPLE_RATE_HZ))).astype(np.float32)


def test_where_nobody_speaks_no_recognizer_is_asked() -> None:
    recognizer = Scripted("you")
    assert transcribe(noise(0), False, recognizer) == NOTHING_SAID
    assert recognizer.asked == 0


def test_text_is_one_line_and_its_confidence_the_tokens_mean() -> None:
    found = transcribe(noise(0), True, Scripted("  one\n two ", -0.5))
    assert found.transcript == "one two"
    assert found.transcript_confidence == pytest.approx(np.exp(-0.5), abs=5e-4)
    assert found.language_probability == 0.988


def test_a_text_that_repeats_itself_has_no_confidence() -> None:
    assert transcribe(noise(0), True, Scripted("I know. " * 20)).transcript_confidence == 0.0
    assert not repeats_itself(SENTENCE)
    assert not repeats_itself("no, no, no")
    assert transcribe(noise(0), True, Scripted(" ")).transcript_confidence is None


def test_moonshine_writes_what_was_said(moonshine_fetched: Recognizer, spoken: np.ndarray) -> None:
    found = transcribe(spoken, True, moonshine_fetched)
    heard = {word.strip(".,").lower() for word in found.transcript.split()}
    said = {word.strip(".,").lower() for word in SENTENCE.split()}
    assert len(said & heard) >= 0.7 * len(said), found.transcript
    assert found.transcript_confidence is not None
    assert found.transcript_confidence > 0.5
    assert (found.language, found.language_probability) == (None, None)


def test_a_sound_too_short_for_the_encoder_has_no_text(moonshine_fetched: Recognizer) -> None:
    for samples in (0, 1, moonshine.MIN_SAMPLES - 1, moonshine.MIN_SAMPLES):
        text = moonshine_fetched.hear(np.zeros(samples, np.float32))[2]
        assert len(text) < 10


def test_tokens_are_read_with_long_lengths_and_damage_is_named() -> None:
    long = b"a" * 200
    stored = b"\x01a\x00" + bytes([128 + 200 % 128, 200 // 128]) + long
    assert moonshine.read_tokens(stored) == [b"a", b"", long]
    for damaged in (stored[:-1], b"", b"\x01a"):
        with pytest.raises(WeightsError, match="lipforge weights fetch"):
            moonshine.read_tokens(damaged)


def test_absent_weights_name_the_command_that_fetches_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="not fetched; run `lipforge weights fetch moonshine"):
        QualityStage(QualityParams(recognizer="moonshine-tiny-en"))


def test_the_row_of_a_clip_has_the_transcript(
    tmp_path: Path, moonshine_fetched: Recognizer, spoken: np.ndarray
) -> None:
    frames = len(spoken) * FPS // SAMPLE_RATE_HZ
    recipe = Recipe(num_frames=frames, audio=spoken[: frames * SAMPLE_RATE_HZ // FPS])
    clip = ClipToMeasure(make_clip(tmp_path, recipe=recipe), FacesSeen(1.0, 1))
    stage = QualityStage(QualityParams(recognizer="moonshine-tiny-en"))
    stage.setup()
    (row,) = stage.process(clip, tmp_path)
    assert "mountains" in row.transcript
    assert set(moonshine.FILES) <= set(stage.weights())
    silent = QualityStage(QualityParams())
    silent.setup()
    (row,) = silent.process(clip, tmp_path)
    assert (row.transcript, row.language, row.transcript_confidence) == (None, None, None)


def test_whisper_hears_the_language_that_transformers_hears(whisper: Path) -> None:
    heard, network = open_recognizer(f"whisper:{whisper}"), WhisperFolder(whisper)
    assert heard is not None
    found = set()
    for seed in range(6):
        language, probability, text, mean_log = heard.hear(noise(seed) * 10.0 ** (seed - 3))
        features = network._features(noise(seed) * 10.0 ** (seed - 3))
        token = int(network._model.detect_language(features)[0])
        assert network._languages[language or ""] == token
        assert 1 / len(LANGUAGES) <= (probability or 0) <= 1
        assert mean_log <= 0
        assert "<|" not in text
        found.add(language)
    assert found <= set(LANGUAGES)


def test_a_whisper_that_knows_one_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not tell languages apart"):
        WhisperFolder(english_only(write_whisper(tmp_path / "one")))


def test_a_damaged_or_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no config.json.*hf download"):
        recognizer_digests(f"whisper:{tmp_path}")
    folder = write_whisper(tmp_path / "whole")
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(WeightsError, match="no Whisper model"):
        WhisperFolder(folder)


def test_the_cache_key_holds_the_files_and_not_their_folder(tmp_path: Path, whisper: Path) -> None:
    one = QualityStage(QualityParams(recognizer=f"whisper:{whisper}"))
    same = write_whisper(tmp_path / "same")
    other = write_whisper(tmp_path / "other", seed=1)
    two = QualityStage(QualityParams(recognizer=f"whisper:{same}"))
    three = QualityStage(QualityParams(recognizer=f"whisper:{other}"))
    assert (one.cache_params(), one.weights()) == (two.cache_params(), two.weights())
    assert one.weights() != three.weights()
    assert set(one.own_weights()) <= set(one.weights())
    assert one.resources.memory_bytes > QualityStage(QualityParams()).resources.memory_bytes


def test_the_recognizer_leaves_torch_on_one_thread(whisper: Path) -> None:
    before = torch.get_num_threads()
    try:
        WhisperFolder(whisper)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["whisper", "whisper:", "moonshine", "", "none "])
def test_an_unknown_recognizer_is_refused_by_the_parameters(name: str) -> None:
    with pytest.raises(ValueError, match="recognizer"):
        Params.model_validate({"quality": {"recognizer": name}})


def test_without_transformers_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, whisper: Path
) -> None:
    monkeypatch.setattr("pipeline.quality.whisper_folder.find_spec", lambda name: None)
    with pytest.raises(ParamsError, match=r"pip install 'lipforge\[transcripts\]'"):
        recognizer_digests(f"whisper:{whisper}")
