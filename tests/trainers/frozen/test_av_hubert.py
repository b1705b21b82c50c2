"""AV-HuBERT's audio branch: official names and shapes, its sound, and files that hold more."""

import argparse
import os

import numpy as np
import pytest
import torch
from scipy.fft import dct

from pipeline.errors import ParamsError, WeightsError
from pipeline.judge.syncnet.mfcc import LIFTER, log_bands, mfcc
from trainers.frozen import av_hubert_files
from trainers.frozen.audio_encoders import audio_identity, load_audio_encoder, windows_of
from trainers.frozen.av_hubert import (
    BASE,
    AvHubertFront,
    AvHubertLayers,
    AvHubertSize,
    av_hubert_windows,
    stacked_filter_banks,
)
from trainers.frozen.av_hubert_files import (
    front_name,
    load_front,
    load_last_layers,
    own_state,
    parsed,
    published_state,
)
from trainers.frozen.foreign_checkpoints import read_weights

LAYER = {
    **{f"self_attn.{one}_proj.weight": (768, 768) for one in "kvq"},
    **{f"self_attn.{one}_proj.bias": (768,) for one in "kvq"},
    "self_attn.out_proj.weight": (768, 768),
    "self_attn.out_proj.bias": (768,),
    "self_attn_layer_norm.weight": (768,),
    "self_attn_layer_norm.bias": (768,),
    "fc1.weight": (3072, 768),
    "fc1.bias": (3072,),
    "fc2.weight": (768, 3072),
    "fc2.bias": (768,),
    "final_layer_norm.weight": (768,),
    "final_layer_norm.bias": (768,),
}
OFFICIAL = {
    "feature_extractor_audio.proj.weight": (768, 104),
    "feature_extractor_audio.proj.bias": (768,),
    "layer_norm.weight": (1536,),
    "layer_norm.bias": (1536,),
    "post_extract_proj.weight": (768, 1536),
    "post_extract_proj.bias": (768,),
    "encoder.pos_conv.0.weight_g": (1, 1, 128),
    "encoder.pos_conv.0.weight_v": (768, 48, 128),
    "encoder.pos_conv.0.bias": (768,),
    "encoder.layer_norm.weight": (768,),
    "encoder.layer_norm.bias": (768,),
} | {f"encoder.layers.{n}.{name}": shape for n in range(12) for name, shape in LAYER.items()}
"""Names and shapes of the audio branch in the official base model."""
FEW = AvHubertSize(width=16, heads=2, hidden=8, layers=3, position_kernel=4, position_groups=2)


def whole_state(size, frozen_layers):
    """Our weights of the whole branch, front and last layers."""
    front = AvHubertFront(frozen_layers, "a", {}, size)
    return {**front.state_dict(), **AvHubertLayers(frozen_layers, size).state_dict()}


def test_all_weights_of_the_official_base_model_are_named_and_shaped_as_there():
    with torch.device("meta"):
        state = published_state(whole_state(BASE, 9))
    assert {name: tuple(one.shape) for name, one in state.items()} == OFFICIAL


def test_official_names_become_ours_and_ours_official_again():
    own = whole_state(FEW, 2)
    there = published_state(own)
    unused = {"mask_emb": torch.zeros(1), "feature_extractor_video.proj.weight": torch.zeros(1)}
    back = own_state(there | unused)
    assert back.keys() == own.keys()
    assert all(torch.allclose(back[name], one, atol=1e-6) for name, one in own.items())
    longer = there | {"encoder.pos_conv.0.weight_g": 2 * there["encoder.pos_conv.0.weight_g"]}
    assert torch.allclose(
        own_state(longer)["positions.weight"], 2 * own["positions.weight"], atol=1e-6
    )


class Foreign:
    """Stands for a class of fairseq."""

    def __init__(self):
        self.value = 3


def written(path, **more):
    torch.manual_seed(0)
    state = published_state(whole_state(FEW, 2))
    torch.save({"model": state, **more}, path)
    return state


def test_the_official_kind_of_file_loads_without_the_classes_it_names(tmp_path, monkeypatch):
    path = tmp_path / "base.pt"
    state = written(path, args=argparse.Namespace(a=1), cfg={"model": Foreign()})
    found = read_weights(path, "model")
    assert all(torch.equal(found[name], one) for name, one in state.items())
    monkeypatch.setattr(av_hubert_files, "BASE", FEW)
    name = f"av-hubert-2:{path}"
    front, last = load_front(name), load_last_layers(name)
    assert list(front.layers) == ["0", "1"]
    assert list(last.layers) == ["2"]
    assert not any(one.requires_grad for one in front.parameters())
    assert all(one.requires_grad for one in last.parameters())
    assert audio_identity(name).sha256.keys() == {"base.pt"}


class RunsSomething:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (self.file,)


def test_a_file_that_names_a_function_runs_nothing(tmp_path):
    place = tmp_path / "made"
    written(tmp_path / "bad.pt", args=RunsSomething(str(place)))
    with pytest.raises(
        WeightsError, match=r"bad.pt: cannot be read as weights alone; .*state dict"
    ):
        read_weights(tmp_path / "bad.pt", "model")
    assert not place.exists()


def test_a_file_without_the_weights_names_what_is_missing(tmp_path):
    torch.save({"weights": {}}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a.pt: holds no weights under 'model'"):
        read_weights(tmp_path / "a.pt", "model")
    torch.save({"model": {"mask_emb": torch.zeros(3)}}, tmp_path / "b.pt")
    with pytest.raises(WeightsError, match=r"b.pt: not the weights of this network: .*audio_proj"):
        load_front(f"av-hubert-9:{tmp_path / 'b.pt'}")
    kernels = {"weight_g": torch.zeros(3, 4), "weight_v": torch.zeros(7, 2, 5)}
    state = {f"encoder.pos_conv.0.{name}": one for name, one in kernels.items()}
    torch.save({"model": state}, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match=r"c.pt: not the weights of this network"):
        load_front(f"av-hubert-9:{tmp_path / 'c.pt'}")


def test_the_filter_banks_are_those_behind_the_cepstra():
    sound = np.random.default_rng(0).integers(-9000, 9000, 640 * 5).astype(np.int16)
    cepstra = dct(log_bands(sound), type=2, axis=1, norm="ortho")[:, 1:13]
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(1, 13) / LIFTER)
    assert np.allclose(cepstra * lift, mfcc(sound)[:, 1:])


def test_every_frame_has_104_numbers_of_mean_0_and_deviation_1():
    sound = np.random.default_rng(0).integers(-9000, 9000, 640 * 7).astype(np.int16)
    made = stacked_filter_banks(sound)
    assert made.shape == (7, 104)
    assert np.allclose(made.mean(axis=1), 0, atol=1e-5)
    assert np.allclose(made[:-1].std(axis=1), 1, atol=1e-3)
    assert np.allclose(made, stacked_filter_banks(sound / 32768), atol=1e-4)


def test_a_frame_hears_a_second_around_it_and_the_ends_are_repeated():
    states = torch.arange(30.0)[:, None, None].expand(30, 1, 768)
    windows = av_hubert_windows(states, 0, 30)
    assert windows.shape == (30, 25, 768)
    assert windows[15, :, 0].tolist() == list(range(3, 28))
    assert windows[0, :14, 0].tolist() == [0.0] * 13 + [1.0]


def test_a_stand_in_says_so_and_hears_the_same_every_time():
    name = front_name("stand-in:av-hubert", 11)
    sound = np.random.default_rng(0).integers(-9000, 9000, 640 * 6).astype(np.int16)
    front = load_audio_encoder(name)
    (first,), (again,) = front.features([sound]), load_audio_encoder(name).features([sound])
    assert (front.name, front.is_stand_in, first.shape) == (name, True, (6, 1, 768))
    assert torch.equal(first, again)
    assert windows_of(name) is av_hubert_windows


@pytest.mark.parametrize(
    "name", ["av-hubert-9", "av-hubert-13:a.pt", "stand-in:av-hubert:9", "av-hubert:a.pt"]
)
def test_a_name_that_is_none_lists_the_known_ones(name):
    with pytest.raises(ParamsError, match=r"known: av-hubert-N:FILE and stand-in:av-hubert-N"):
        parsed(name)
