"""LatentSync's audio features, against numbers of its own code."""

import hashlib
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import WhisperConfig

from pipeline.errors import ParamsError, WeightsError
from pipeline.weights.files import list_weights, sha256_of
from tests.conftest import ROOT
from tests.golden_rules import rule_sound, rule_weight
from trainers.frozen import whisper_files
from trainers.frozen.whisper import WhisperFeatures, whisper_windows, window_steps
from trainers.frozen.whisper_files import FILES, load_whisper, renamed_from_openai

GOLDEN = ROOT / "tests" / "golden"
RESULTS = json.loads((GOLDEN / "g3_audio_results.json").read_text())
DIMS = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 384, "n_audio_head": 6}
DIMS |= {"n_audio_layer": 4, "n_vocab": 51865}


def sinusoids(length, width):
    """OpenAI's positions; the rule for weights leaves them as constructed."""
    scale = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * scale
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@pytest.fixture(scope="module")
def openai_state():
    keys = dict(json.loads((GOLDEN / "g3_whisper_encoder_keys.json").read_text())["keys"])
    state = {key: rule_weight(key, s) for key, s in keys.items() if "positional" not in key}
    return state | {"positional_embedding": sinusoids(1500, 384)}


@pytest.fixture(scope="module")
def openai_file(openai_state, tmp_path_factory):
    path = tmp_path_factory.mktemp("whisper") / "tiny.pt"
    state = {f"encoder.{key}": tensor for key, tensor in openai_state.items()}
    state["decoder.ln.weight"] = torch.ones(384)
    torch.save({"dims": DIMS, "model_state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def whisper(openai_file):
    return load_whisper(openai_file)


def test_the_log_mel_is_that_of_the_unpadded_file(whisper):
    golden = np.load(GOLDEN / "g3_whisper_encoder.npz")["logmel"]
    np.testing.assert_allclose(whisper.log_mel(rule_sound(1.6, 1)), golden, atol=1e-5)


def test_all_five_layers_are_latentsyncs(whisper):
    golden = np.load(GOLDEN / "g3_whisper_encoder.npz")
    (features,) = whisper.features([rule_sound(1.6, 1)])
    assert features.shape == (80, 5, 384)
    np.testing.assert_allclose(features[..., :96], golden["feat"], atol=1e-4)
    np.testing.assert_allclose(features[0], golden["feat_t0"], atol=1e-4)
    np.testing.assert_allclose(features[-1], golden["feat_tlast"], atol=1e-4)


def test_as_many_steps_are_kept_as_latentsync_keeps(whisper, monkeypatch):
    def shape_only(pieces):
        return torch.zeros(len(pieces), 1500, 5, 384)

    monkeypatch.setattr(whisper, "forward", shape_only)
    for samples, (columns, steps) in RESULTS["logmel_frames_vs_samples"].items():
        audio = np.zeros(int(samples), np.int16)
        assert whisper.log_mel(audio).shape == (80, columns)
        assert len(whisper.features([audio])[0]) == steps
    long = np.zeros(round(31.077 * 16000), np.int16)
    assert len(whisper.features([long])[0]) == RESULTS["whisper_feat_len_for_31.077s"]


@pytest.fixture(scope="module")
def small():
    """A network that is quick, of another shape than any published one."""
    torch.manual_seed(0)
    config = WhisperConfig(d_model=32, encoder_attention_heads=2, encoder_layers=2)
    config.encoder_ffn_dim = 64
    return WhisperFeatures(config, "stand-in:small", {})


def test_clips_encoded_together_have_the_features_of_clips_encoded_alone(small):
    clips = [rule_sound(seconds, seed) for seconds, seed in ((1.0, 3), (31.0, 4), (0.7, 5))]
    together = small.features(clips, chunks_at_once=3)
    assert [len(features) for features in together] == [50, 1550, 35]
    for clip, features in zip(clips, together, strict=True):
        torch.testing.assert_close(features, small.features([clip], 1)[0])


def test_a_second_piece_begins_anew_after_thirty_seconds(small):
    clip = rule_sound(31.0, 4)
    padded = torch.zeros(1, 80, 3000)
    padded[0, :, :100] = small.log_mel(clip)[:, 3000:]
    with torch.inference_mode():
        alone = small(padded)[0, :50]
    torch.testing.assert_close(small.features([clip])[0][1500:], alone)


@pytest.mark.parametrize("start", [0, 1, 7, 14, 20])
def test_tokens_of_a_window_are_latentsyncs(start):
    features = np.random.default_rng(21).standard_normal((60, 5, 384)).astype(np.float32)
    windows = whisper_windows(torch.from_numpy(features), start)
    assert windows.shape == (16, 50, 384)
    golden = np.load(GOLDEN / "g3_whisper_windows.npz")[f"start{start}_first8ch"]
    np.testing.assert_array_equal(windows[..., :8], golden)
    digest = hashlib.sha256(windows.contiguous().numpy().tobytes()).hexdigest()
    assert digest == RESULTS["whisper_window_sha256"][str(start)]


def test_token_ids_and_selected_steps_are_latentsyncs():
    ids = torch.arange(300).reshape(60, 5, 1)
    for start, tokens in RESULTS["whisper_token_ids"]["cases"].items():
        assert whisper_windows(ids, int(start), len(tokens))[..., 0].tolist() == tokens
    for frame, steps in RESULTS["whisper_selected_time_indices"].items():
        assert window_steps(int(frame), 1, 60)[0].tolist() == steps


def test_a_hugging_face_folder_gives_the_same_features(whisper, openai_state, tmp_path):
    whisper.encoder.config.save_pretrained(tmp_path)
    state = renamed_from_openai(openai_state)
    state = {f"model.encoder.{key}": tensor.contiguous() for key, tensor in state.items()}
    save_file(
        state | {"model.decoder.layer_norm.weight": torch.ones(384)}, tmp_path / "model.safetensors"
    )
    sound = rule_sound(1.6, 1)
    loaded = load_whisper(tmp_path)
    assert torch.equal(loaded.features([sound])[0], whisper.features([sound])[0])
    assert list(loaded.sha256) == ["model.safetensors"]


def test_bfloat16_is_near_and_comes_back_as_float32(openai_file):
    sound = rule_sound(1.6, 1)
    exact = load_whisper(openai_file).features([sound])[0]
    rough = load_whisper(openai_file).to(torch.bfloat16).features([sound])[0]
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.02 * exact.abs().mean()


def test_a_stand_in_is_named_so_and_deterministic():
    sound = rule_sound(1.0, 1)
    one, two = (load_whisper("stand-in:whisper-tiny") for _ in range(2))
    assert one.is_stand_in
    assert one.name == "stand-in:whisper-tiny"
    features = one.features([sound])[0]
    assert torch.equal(features, two.features([sound])[0])
    assert features[:, -1].std(dim=0).mean() > 0.1  # the steps differ


def test_tiny_and_small_come_from_the_registry(openai_file, monkeypatch):
    assert set(FILES.values()) <= {entry.name for entry in list_weights()}
    monkeypatch.setattr(whisper_files, "path_of", lambda name: openai_file)
    loaded = load_whisper("tiny")
    assert (loaded.name, loaded.num_layers, loaded.is_stand_in) == ("tiny", 5, False)
    assert loaded.sha256 == {"whisper_tiny.pt": sha256_of("whisper_tiny.pt")}


def test_the_error_of_an_absent_encoder_has_the_fetch_command(monkeypatch, tmp_path):
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"run `lipforge weights fetch whisper_small\.pt`"):
        load_whisper("small")
    with pytest.raises(WeightsError, match=r"tinny: no such file, .* known: tiny, small"):
        load_whisper("tinny")


def test_what_is_no_whisper_file_is_named(tmp_path, openai_state):
    with pytest.raises(ParamsError, match="stand-in:whisper-tiny"):
        load_whisper("stand-in:whisper-huge")
    with pytest.raises(WeightsError, match=r"tiny\.pt"):
        load_whisper(tmp_path / "tiny.pt")
    torch.save({"dims": DIMS, "model_state_dict": {}}, tmp_path / "empty.pt")
    with pytest.raises(WeightsError, match="not the weights"):
        load_whisper(tmp_path / "empty.pt")
    torch.save(openai_state, tmp_path / "bare.pt")
    with pytest.raises(WeightsError, match="dims"):
        load_whisper(tmp_path / "bare.pt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_whisper(tmp_path / "folder")


def test_too_little_sound_is_refused(whisper):
    with pytest.raises(ValueError, match="201"):
        whisper.features([np.zeros(200, np.int16)])
