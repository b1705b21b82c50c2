"""What is said, by Moonshine's real weights and by a Whisper of random ones."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.demo.speech import speak
from pipeline.errors import ParamsError, WeightsError
from pipeline.params.curation import Params, QualityParams
from pipeline.quality import moonshine
from pipeline.quality.faces_seen import FacesSeen
from pipeline.quality.heard import Heard
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
from tests.pipeline.quality.small_whisper import LANGUAGES, write_whisper
from tests.pipeline.quality.synthetic import Recipe, make_clip

TAMIL = "காலையில் மழை பெய்தது, அதனால் நாங்கள் வீட்டிலேயே இருந்து புத்தகம் படித்தோம்."
BURMESE = "မနက်ဖြန် မိုးရွာမယ်ဆိုရင် ကျွန်တော်တို့ အိမ်မှာပဲ စာဖတ်ပြီး နေကြမယ်။"
SENTENCE = "The weather in the mountains changes quickly. Take a warm coat with you."


class Scripted:
    """A recognizer that says what it was told to."""

    def __init__(self, text: str, mean_log: float = -0.5, is_whole: bool = True) -> None:
        self.answer = Heard("en", 0.98765, text, mean_log, is_whole)
        self.asked = 0

    def hear(self, audio_N: np.ndarray) -> Heard:
        self.asked += 1
        return self.answer


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
        assert len(moonshine_fetched.hear(np.zeros(samples, np.float32)).text) < 10


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
    network = open_recognizer(f"whisper:{whisper}")
    assert isinstance(network, WhisperFolder)
    for seed in range(6):
        sound = noise(seed) * 10.0 ** (seed - 3)
        heard = network.hear(sound)
        token = int(network._model.detect_language(network._features(sound))[0])
        assert network._languages[heard.language or ""] == token
        assert 1 / len(LANGUAGES) <= (heard.language_probability or 0) <= 1
        assert heard.mean_log <= 0
        assert "<|" not in heard.text


def test_a_text_that_was_cut_off_has_no_confidence(
    moonshine_fetched: Recognizer, monkeypatch: pytest.MonkeyPatch, spoken: np.ndarray
) -> None:
    cut = Scripted("one two three", is_whole=False)
    assert transcribe(noise(0), True, cut).transcript_confidence == 0.0
    assert moonshine_fetched.hear(spoken).is_whole
    monkeypatch.setattr(moonshine, "TOKENS_PER_SECOND", 1.0)
    assert not moonshine_fetched.hear(spoken).is_whole


@pytest.mark.parametrize("text", [TAMIL, BURMESE])
def test_letters_of_three_bytes_are_no_repetition(text: str) -> None:
    assert not repeats_itself(text)
    assert repeats_itself(text * 6)


def test_a_recognizer_without_numbers_ends_the_run_with_one_message() -> None:
    with pytest.raises(WeightsError, match="gives no numbers"):
        transcribe(noise(0), True, Scripted("one", float("nan")))


def edited(folder: Path, name: str, **changes: object) -> Path:
    """Change keys of one of a model's JSON files; None takes a key out."""
    path = folder / name
    facts = json.loads(path.read_text())
    facts.update(changes)
    kept = {key: value for key, value in facts.items() if value is not None}
    path.write_text(json.dumps(kept))
    return folder


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("config.json", {"decoder_layers": 2}, "missing_keys"),
        ("config.json", {"d_model": "64"}, "no Whisper model"),
        ("config.json", {"model_type": "bert"}, "not that of a Whisper"),
        ("config.json", {"transformers_weights": "other.safetensors"}, "not that of a Whisper"),
        ("generation_config.json", {"lang_to_id": None}, "tells no languages apart"),
        ("generation_config.json", {"lang_to_id": ["<|en|>"]}, "tells no languages apart"),
        ("generation_config.json", {"lang_to_id": {"<|en|>": 3}}, "its tokenizer is not that"),
        ("generation_config.json", {"decoder_start_token_id": 10**6}, "no Whisper model"),
        ("tokenizer.json", {"model": {"type": "no such"}}, "no Whisper model"),
    ],
)
def test_a_model_whose_files_do_not_fit_is_refused_before_the_first_clip(
    tmp_path: Path, whisper: Path, name: str, changes: dict[str, object], message: str
) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(whisper, folder)
    with pytest.raises(WeightsError, match=message):
        WhisperFolder(edited(folder, name, **changes))


def test_weights_that_lack_tensors_are_refused(tmp_path: Path, whisper: Path) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(whisper, folder)
    path = folder / "model.safetensors"
    kept = {name: one for name, one in load_file(path).items() if "decoder.layers.0.fc" not in name}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="missing_keys"):
        WhisperFolder(folder)


def test_settings_beside_the_tokens_do_not_change_the_text(tmp_path: Path, whisper: Path) -> None:
    folder = tmp_path / "settings"
    shutil.copytree(whisper, folder)
    odd = {"repetition_penalty": 9.0, "max_time": 0.001, "num_beams": 3, "do_sample": True}
    edited(folder, "generation_config.json", **odd, return_timestamps=True)
    (folder / "processor_config.json").write_text('{"feature_extractor": {"n_fft": 800}}')
    assert WhisperFolder(folder).hear(noise(1)) == WhisperFolder(whisper).hear(noise(1))


def test_a_damaged_or_missing_file_is_named(tmp_path: Path, whisper: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no config.json.*hf download"):
        recognizer_digests(f"whisper:{tmp_path}")
    folder = tmp_path / "whole"
    shutil.copytree(whisper, folder)
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(WeightsError, match="no Whisper model"):
        WhisperFolder(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"has no tokenizer\.json"):
        WhisperFolder(folder)
    with pytest.raises(ParamsError, match=r"quality\.recognizer"):
        recognizer_digests("whisper:~nosuchuser/x")


def test_the_stage_names_a_folder_as_workers_find_it(
    whisper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(whisper.parent)
    stage = QualityStage(QualityParams(recognizer=f"whisper:{whisper.name}"))
    assert stage.recognizer == f"whisper:{whisper}"
    monkeypatch.setenv("HOME", str(whisper.parent))
    stage = QualityStage(QualityParams(recognizer=f"whisper:{whisper}"))
    assert stage.recognizer == f"whisper:~/{whisper.name}"


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
