"""Frozen networks: by name, checked against the lock, stand-ins named as such."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.errors import ParamsError, WeightsError
from pipeline.weights import files as weights
from tests.conftest import ROOT
from tests.golden_rules import rule_weight
from tests.trainers.frozen.test_videomae import rule_videomae
from trainers.frozen import registry as frozen
from trainers.frozen.latent_vae import KlVae
from trainers.frozen.lpips_vgg import LpipsVgg
from trainers.frozen.videomae import VideoMaeEncoder, VideoMaeSize

STAND_INS: list[tuple[Callable[[str], frozen.FrozenNetwork[nn.Module]], str]] = [
    (frozen.vae, "stand-in:sd-vae-ft-mse"),
    (frozen.vae, "stand-in:taesd"),
    (frozen.vae, "stand-in:blocks"),
    (frozen.lpips, "stand-in:lpips-vgg"),
    (frozen.vgg19, "stand-in:vgg19"),
    (frozen.videomae, "stand-in:videomae-v2-giant"),
]
FILES = {
    frozen.SD_VAE_FILE,
    frozen.TAESD_FILE,
    frozen.VIDEOMAE_FILE,
    frozen.VGG_FILE,
    frozen.LINS_FILE,
    frozen.VGG19_FILE,
}


def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make a lock of files that lie in the weights folder as they are."""
    monkeypatch.setenv("LIPFORGE_WEIGHTS", str(tmp_path))
    entries = []
    for name in names:
        path = tmp_path / name
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64
        entry = {"name": name, "what": "a test", "licence": "CC0-1.0", "sha256": digest}
        entries.append(entry | {"kind": "http", "location": "http://localhost/none"})
    path = tmp_path / "lock.json"
    path.write_text(json.dumps({"wheels": {}, "weights": entries}))
    weights._lock.cache_clear()
    monkeypatch.setattr(weights, "LOCK", path)


@pytest.mark.parametrize(("load", "name"), STAND_INS, ids=[name for _, name in STAND_INS])
def test_a_stand_in_is_named_so_and_deterministic(
    load: Callable[[str], frozen.FrozenNetwork[nn.Module]], name: str
) -> None:
    torch.manual_seed(0)
    first = load(name)
    before = torch.random.get_rng_state()
    torch.manual_seed(1)
    second = load(name)
    assert (first.name, first.is_stand_in, dict(first.sha256)) == (name, True, {})
    pairs = zip(
        first.network.state_dict().values(), second.network.state_dict().values(), strict=True
    )
    assert all(torch.equal(one, other) for one, other in pairs)
    torch.manual_seed(0)
    assert torch.equal(torch.random.get_rng_state(), before), "a stand-in disturbed the run's seed"


@pytest.mark.parametrize(("load", "name"), STAND_INS, ids=[name for _, name in STAND_INS])
def test_a_frozen_part_learns_nothing_and_is_in_eval_mode(
    load: Callable[[str], frozen.FrozenNetwork[nn.Module]], name: str
) -> None:
    network = load(name).network
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())


def test_stand_ins_work_as_losses() -> None:
    lpips = frozen.lpips("stand-in:lpips-vgg").network
    one, other = torch.rand(2, 2, 3, 32, 32)
    assert (lpips(one, other) > 0).all()
    assert all((weight >= 0).all() for weight in lpips.lins.parameters())
    assert lpips(one, one).tolist() == [0, 0]
    videomae = frozen.videomae("stand-in:videomae-v2-giant").network
    assert videomae(torch.rand(1, 3, 16, 224, 224)).shape == (1, 48)


def test_a_missing_file_is_an_error_and_never_a_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(tmp_path, monkeypatch, *FILES)
    for load, name in STAND_INS:
        if name == "stand-in:blocks":
            continue
        with pytest.raises(WeightsError, match="lipforge weights fetch"):
            load(name.removeprefix("stand-in:"))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ParamsError, match="known: sd-vae-ft-mse, taesd, stand-in:"):
        frozen.vae("sd-vae")
    with pytest.raises(ParamsError, match="no frozen part named 'blocks'"):
        frozen.vae("blocks")


def test_the_real_file_is_loaded_with_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = frozen.AutoencoderTiny()
    save_file(model.state_dict(), tmp_path / frozen.TAESD_FILE)
    lock(tmp_path, monkeypatch, frozen.TAESD_FILE)
    part = frozen.vae("taesd")
    assert (part.name, part.is_stand_in) == ("taesd", False)
    digest = hashlib.sha256((tmp_path / frozen.TAESD_FILE).read_bytes()).hexdigest()
    assert part.sha256 == {frozen.TAESD_FILE: digest}
    latents = torch.rand(1, 4, 4, 4)
    assert torch.equal(part.network.decode(latents), model.decode(latents).sample)


def test_the_published_video_encoder_loads_from_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = VideoMaeSize(width=96, depth=2, heads=4, hidden=418)
    monkeypatch.setattr(frozen, "VideoMaeEncoder", lambda: VideoMaeEncoder(size))
    shapes = json.loads((ROOT / "tests/golden/g6_videomae_small_keys.json").read_text())["keys"]
    state = {key: rule_weight(key, shape).half() for key, shape in shapes}
    torch.save({"module": state}, tmp_path / frozen.VIDEOMAE_FILE)
    lock(tmp_path, monkeypatch, frozen.VIDEOMAE_FILE)
    network = frozen.videomae("videomae-v2-giant").network
    assert network.gradient_checkpointing
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    clip = torch.rand(1, 3, 16, 224, 224)
    assert (network(clip) - rule_videomae()(clip)).abs().max() < 0.01


def test_the_published_autoencoder_loads_from_its_older_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = frozen.vae("stand-in:sd-vae-ft-mse").network
    assert isinstance(source, KlVae)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for key, value in source.model.state_dict().items():
        for new, name in old.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{name}.")
        state[key] = value.contiguous()
    save_file(state, tmp_path / frozen.SD_VAE_FILE)
    lock(tmp_path, monkeypatch, frozen.SD_VAE_FILE)
    monkeypatch.setattr(frozen, "sd_vae", lambda: AutoencoderKL(**source.model.config))
    network = frozen.vae("sd-vae-ft-mse").network
    latents = torch.rand(1, 4, 4, 4)
    assert torch.equal(network.decode(latents), source.decode(latents))


def test_the_two_public_files_of_lpips_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = frozen.lpips("stand-in:lpips-vgg").network
    state = source.state_dict()
    features = {
        "features." + key.split(".", 2)[2]: value
        for key, value in state.items()
        if key.startswith("net.")
    }
    torch.save(features, tmp_path / frozen.VGG_FILE)
    lins = {key: value for key, value in state.items() if key[:3] == "lin" and key[3] != "s"}
    torch.save(lins, tmp_path / frozen.LINS_FILE)
    lock(tmp_path, monkeypatch, frozen.VGG_FILE, frozen.LINS_FILE)
    monkeypatch.setattr(frozen, "LpipsVgg", lambda: LpipsVgg((8, 16, 32, 64, 64)))
    part = frozen.lpips("lpips-vgg")
    assert set(part.sha256) == {frozen.VGG_FILE, frozen.LINS_FILE}
    one, other = torch.rand(2, 1, 3, 32, 32)
    assert torch.equal(part.network(one, other), source(one, other))


def test_a_file_of_another_network_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / frozen.TAESD_FILE)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / frozen.VGG_FILE)
    torch.save({"lin0": torch.zeros(1)}, tmp_path / frozen.LINS_FILE)
    torch.save({"module": {"strange": torch.zeros(1)}}, tmp_path / frozen.VIDEOMAE_FILE)
    lock(tmp_path, monkeypatch, *FILES - {frozen.SD_VAE_FILE})
    with pytest.raises(WeightsError, match=frozen.TAESD_FILE):
        frozen.vae("taesd")
    with pytest.raises(WeightsError, match=frozen.VGG_FILE):
        frozen.lpips("lpips-vgg")
    with pytest.raises(WeightsError, match="strange"):
        frozen.videomae("videomae-v2-giant")


def test_names_show_which_networks_are_stand_ins() -> None:
    parts = {
        "vae": frozen.vae("stand-in:taesd"),
        "lpips": frozen.lpips("stand-in:lpips-vgg"),
    }
    assert frozen.names(parts) == {"lpips": "stand-in:lpips-vgg", "vae": "stand-in:taesd"}


def test_every_file_of_a_frozen_part_has_a_source_a_licence_and_a_digest() -> None:
    lock = json.loads((ROOT / "pipeline" / "weights" / "weights.lock.json").read_text())
    entries = {entry["name"]: entry for entry in lock["weights"] if entry["name"] in FILES}
    assert set(entries) == FILES
    for entry in entries.values():
        assert entry["licence"]
        assert len(entry["sha256"]) == 64
        assert entry["on_demand"]
        assert entry["location"].startswith("https://") or entry["location"] in lock["wheels"]


def read_linear(path: Path) -> nn.Module:
    network = nn.Linear(2, 3)
    network.load_state_dict(load_file(path))
    return network.train()


def test_a_network_that_our_own_stage_trained_is_frozen_and_has_the_digest_of_its_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "judge.safetensors"
    with pytest.raises(WeightsError, match=r"judge\.safetensors: .*`dvc repro train_judge` makes"):
        frozen.trained(path, read_linear, "train_judge")
    save_file({"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, path)
    part = frozen.trained(path, read_linear, "train_judge")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (part.name, dict(part.sha256)) == (path.name, {path.name: digest})
    assert not part.is_stand_in
    assert not part.network.training
    assert not any(weight.requires_grad for weight in part.network.parameters())
    assert bool((part.network(torch.ones(2)) == 2).all())
