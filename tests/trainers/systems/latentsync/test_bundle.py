"""A trained model on disk."""

import json

import pytest
import torch

from pipeline.errors import WeightsError
from tests.trainers.systems.latentsync.golden_network import rule_network
from trainers.systems.latentsync.bundle import load_bundle, read_facts, save_bundle
from trainers.systems.latentsync.files import load_checkpoint

FACTS = {
    "vae": "stand-in:blocks",
    "whisper": "stand-in:whisper-tiny",
    "sha256": {"vae": {}, "whisper": {}},
    "resolution_px": 64,
    "frames": 16,
    "prediction": "epsilon",
    "steps": 7,
}


@pytest.fixture(scope="module")
def unet():
    return rule_network()


@pytest.fixture
def folder(tmp_path, unet):
    save_bundle(tmp_path / "model", unet, FACTS)
    return tmp_path / "model"


def test_a_model_comes_back_with_its_parts(folder, unet):
    bundle = load_bundle(folder).to(torch.device("cpu"))
    state = bundle.unet.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in unet.state_dict().items())
    assert not bundle.unet.training
    assert not any(p.requires_grad for p in bundle.unet.parameters())
    assert (bundle.resolution_px, bundle.frames) == (64, 16)
    assert (bundle.vae.name, bundle.whisper.name) == (FACTS["vae"], FACTS["whisper"])
    assert bundle.facts["steps"] == 7


def test_the_published_layout_lies_beside_and_holds_the_same(folder, unet):
    public = load_checkpoint(folder / "latentsync_unet.pt", unet.config).state_dict()
    assert all(torch.equal(value, public[name]) for name, value in unet.state_dict().items())


def test_the_same_model_gives_the_same_bytes(folder, tmp_path, unet):
    save_bundle(tmp_path / "again", unet, FACTS)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_weights_that_are_not_those_of_the_facts_are_refused(folder):
    path = folder / "model.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "sha256": {**facts["sha256"], "unet": "0" * 64}}))
    with pytest.raises(WeightsError, match="its unet is not that of the training"):
        load_bundle(folder)


def test_another_autoencoder_than_that_of_the_training_is_refused(tmp_path, unet):
    told = {**FACTS, "sha256": {"vae": {"taesd.safetensors": "0" * 64}, "whisper": {}}}
    save_bundle(tmp_path, unet, told)
    with pytest.raises(WeightsError, match="its vae is not that of the training"):
        load_bundle(tmp_path)


def test_a_folder_without_a_model_says_how_to_get_one(tmp_path):
    with pytest.raises(WeightsError, match="dvc repro train_ldm"):
        read_facts(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": "sixteen"}, r"frames: .*valid integer \(is 'sixteen'\)"),
        ({"frames": 25}, "frames: .*less than or equal to 24"),
        ({"resolution_px": 63}, "resolution_px: .*multiple of 8"),
        ({"prediction": "v"}, "prediction: .*'epsilon' or 'x0'"),
        ({"vae": 3}, "vae: .*valid string"),
        ({"format": 2}, r"format: .*should be 1 \(is 2\)"),
        ({"sha256": {"vae": {}, "whisper": {}}}, "sha256.unet: missing"),
        ({"sha256": {"unet": "0", "vae": "0"}}, "sha256.vae: must be digests"),
        ({"sha256": {"unet": "0", "lpips": {}}}, "lpips: .*its name is missing"),
        ({"sampling": {"steps": 0}}, "sampling.steps: .*greater than or equal to 1"),
        ({"sampling": {"guidance": -1}}, "sampling.guidance: .*greater than or equal to 1"),
        ({"sampling": {"guidance": 101.0}}, "sampling.guidance: .*less than or equal to 100"),
        ({"sampling": {"temperature": "hot"}}, "sampling.temperature: .*valid number"),
        ({"sampling": {"stepps": 2}}, "sampling.stepps: .*not permitted"),
        ({"metrics": {"loss": float("nan")}}, "metrics: has a number that is not finite"),
    ],
)
def test_an_impossible_fact_is_named_with_file_and_fix(folder, changed, message):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(WeightsError, match=rf"model.json: {message}.*dvc repro train_ldm"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["frames", "prediction", "resolution_px", "vae", "whisper"])
def test_a_missing_fact_is_named_and_nothing_is_assumed(folder, name):
    path = folder / "model.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({key: facts[key] for key in facts if key != name}))
    with pytest.raises(WeightsError, match=rf"model.json: {name}: missing.*dvc repro train_ldm"):
        load_bundle(folder)


def test_facts_that_are_no_object_are_refused(folder):
    (folder / "model.json").write_text("[16]")
    with pytest.raises(WeightsError, match=r"model.json: must be a JSON object"):
        read_facts(folder)


@pytest.mark.parametrize("name", ["resolution_px", "prediction"])
def test_facts_that_nobody_could_dub_with_are_not_written(tmp_path, unet, name):
    with pytest.raises(ValueError, match=name):
        save_bundle(tmp_path, unet, {k: v for k, v in FACTS.items() if k != name})
