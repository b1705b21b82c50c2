"""The stage `evaluate`, end to end on made shards with small models of the real kinds."""

import csv
import json
import shutil

import av
import pytest
import torch

from pipeline.errors import ParamsError, WeightsError
from pipeline.faces.litert import installed_weights
from pipeline.params.curation import Params
from pipeline.params.training import EvaluateParams
from tests.trainers.evaluation.talking_films import write_films
from trainers import evaluate as stage
from trainers.data.index import index_shards
from trainers.data.shard_urls import shard_urls
from trainers.evaluation.summary import for_json
from trainers.systems.latentsync.bundle import save_bundle
from trainers.systems.latentsync.configs import STAGES
from trainers.systems.latentsync.network import LatentSyncUNet
from trainers.systems.stable_syncnet.configs import CONFIGS
from trainers.systems.stable_syncnet.files import save_safetensors
from trainers.systems.stable_syncnet.network import StableSyncNet

SECTION = EvaluateParams(
    clips=2, silence_clips=1, steps=1, max_seconds=1.28, syncnet_pairs=8, fid="none", fvd="none"
)
FACTS = {"frames": 16, "resolution_px": 64, "vae": "stand-in:blocks", "prediction": "epsilon"}
PARTS = {
    "whisper": "stand-in:whisper-tiny",
    "lpips": "stand-in:lpips-vgg",
    "sha256": {"vae": {}, "whisper": {}, "lpips": {}},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two untrained models and two clips, in place of those of a project."""
    try:
        installed_weights()
    except WeightsError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("evaluate")
    torch.manual_seed(0)
    save_bundle(folder / "ldm", LatentSyncUNet(STAGES["tiny"].unet), {**FACTS, **PARTS})
    facts = {"profile": {"mel": "compat", "negatives": "compat"}}
    save_safetensors(folder / "syncnet.safetensors", StableSyncNet(CONFIGS["tiny"]), facts)
    write_films(folder / "shards", "val", [33, 34])
    write_films(folder / "shards", "train", [40, 45, 50], seed=10)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage, "SYNCNET", folder / "syncnet.safetensors")
        patched.setattr(stage, "LDM", folder / "ldm")
        patched.setattr(stage, "MODELS", folder / "models")
        patched.setenv("LIPFORGE_TRAINING", str(folder / "training"))
        patched.setenv("LIPFORGE_GPU", "cpu")
        yield folder


@pytest.fixture(scope="module")
def found(root):
    return run(root, root / "reports")


def run(root, reports):
    held_out, train = (index_shards(shard_urls(root / "shards" / k), 32) for k in ("val", "train"))
    return for_json(stage.evaluate(Params(evaluate=SECTION), held_out, train, reports))


def test_it_names_what_measured_and_what_did_not(found):
    assert found["syncnet"]["pairs"] == 8
    stand_ins = {"vae": "blocks", "whisper": "whisper-tiny", "lpips": "lpips-vgg"}
    named = {role: f"stand-in:{name}" for role, name in stand_ins.items()}
    assert found["ldm"]["names"] == named, "those it was trained with, too"
    assert found["ldm"]["judge"]["lse"].startswith("not measured")
    assert found["ldm"]["networks"]["fid"] == "not measured: evaluate.fid is none"
    assert found["ldm"]["opening_readers"] == {"films": 3, "frames": 135}
    json.dumps(found, allow_nan=False)


def test_table_and_samples_have_every_clip_and_its_sound(root, found):
    rows = list(csv.DictReader((root / "reports" / "evaluation.csv").open()))
    assert [row["clip"].rpartition("/")[2] for row in rows] == ["clip000", "clip001"]
    assert all(float(row["own_psnr_db"]) > 0 for row in rows)
    samples = root / "reports" / "samples"
    names = {path.name for path in samples.iterdir()}
    assert {"clip000.png", "clip000-own.mp4", "clip000-foreign.mp4"} <= names
    with av.open(str(samples / "clip000-own.mp4")) as film:
        assert (film.streams.video[0].width, film.streams.video[0].frames) == (128, 32)
        assert film.streams.audio[0].duration / 16_000 == pytest.approx(1.28, abs=0.1)


def test_every_clips_listening_is_measured_and_silence_on_the_wanted_ones(root, found):
    listening, silence = found["ldm"]["listening"], found["ldm"]["silence"]
    for name in ("own_r", "foreign_r", "leak_r", "amplitude", "chance_r", "vae_r", "reader_r"):
        assert isinstance(listening[name], float), name
        assert listening["spread"][name] >= 0
    assert listening["clips"] == 2
    assert listening["reader_r"] > 0.9
    assert abs(listening["foreign_r"]) < 0.6, "the network is not trained"
    assert silence["clips"] == 1
    assert found["ldm"]["temporal"]["own_roughness"] >= 0
    rows = list(csv.DictReader((root / "reports" / "evaluation.csv").open()))
    assert [bool(row["silence_opening_amplitude"]) for row in rows] == [True, False]
    mean = sum(float(row["listening_foreign_r"]) for row in rows) / 2
    assert mean == pytest.approx(listening["foreign_r"], abs=1e-5)
    curves = json.loads((root / "reports" / "samples" / "openings.json").read_text())
    assert {len(curve) for curve in curves["clip000"].values() if isinstance(curve, list)} == {32}


@pytest.mark.slow
def test_other_trained_systems_are_measured_in_the_same_way_and_untrained_ones_left_out(
    root, found, tmp_path, monkeypatch
):
    models = tmp_path / "models"
    shutil.copytree(root / "ldm", models / "stabilized")
    (models / "syncdiff").mkdir()
    (models / "syncdiff" / "untrained.json").write_text("{}")
    monkeypatch.setattr(stage, "MODELS", models)
    both = run(root, tmp_path / "reports")
    assert list(both) == [*found, "systems"]
    assert list(both["systems"]) == ["stabilized"]
    of_system, of_ldm = both["systems"]["stabilized"], both["ldm"]
    assert of_system.keys() == of_ldm.keys() == found["ldm"].keys()
    assert of_system["listening"]["own_r"] == pytest.approx(of_ldm["listening"]["own_r"], abs=1e-6)
    own = tmp_path / "reports" / "samples" / "stabilized"
    names = {path.name for path in (root / "reports" / "samples").iterdir()}
    assert {path.name for path in own.iterdir()} == {*names, "evaluation.csv"}
    (models / "syncdiff" / "untrained.json").unlink()
    with pytest.raises(WeightsError, match=r"syncdiff: neither model\.json nor untrained\.json"):
        run(root, tmp_path / "reports")


def test_a_killed_evaluation_goes_on_and_ends_the_same(root, found, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path / "training"))
    monkeypatch.setattr(stage, "CPU_DUBS", 1)
    dub, dubbed = stage.dub_faces, []

    def killed_in_the_second(*arguments):
        if dubbed:
            raise KeyboardInterrupt
        dubbed.append(1)
        return dub(*arguments)

    monkeypatch.setattr(stage, "dub_faces", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(root, tmp_path)
    monkeypatch.setattr(stage, "dub_faces", lambda *every: dubbed.append(2) or dub(*every))
    assert run(root, tmp_path) == found
    assert dubbed == [1, 2, 2, 2, 2]  # own and foreign sound of two clips, silence of one
    for name in ("evaluation.csv", "samples/clip001-own.mp4", "samples/clip001.png"):
        assert (tmp_path / name).read_bytes() == (root / "reports" / name).read_bytes()


def test_a_model_that_was_not_trained_is_named_with_its_fix(root, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "LDM", tmp_path / "nothing")
    with pytest.raises(WeightsError, match="dvc repro train_ldm"):
        run(root, tmp_path)


def test_a_failed_evaluation_leaves_the_reports_of_the_one_before(
    root, found, tmp_path, monkeypatch
):
    shutil.copytree(root / "reports", tmp_path / "reports")
    (tmp_path / "reports" / "samples" / "of another film.png").write_bytes(b"old")
    before = contents(tmp_path)

    def fail(*_every, **_options):
        raise WeightsError("at the very end")

    monkeypatch.setattr(stage, "syncnet_metrics", fail)
    with pytest.raises(WeightsError, match="at the very end"):
        run(root, tmp_path / "reports")
    assert contents(tmp_path) == before
    assert any("samples" in path.parts for path in before)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_absent_file_of_a_model_is_named_with_its_fix(root, tmp_path, monkeypatch):
    shutil.copytree(root / "ldm", tmp_path / "ldm")
    (tmp_path / "ldm" / "unet.safetensors").unlink()
    monkeypatch.setattr(stage, "LDM", tmp_path / "ldm")
    match = r"unet.safetensors: no such file; `dvc repro train_ldm`"
    with pytest.raises(WeightsError, match=match):
        run(root, tmp_path)
    monkeypatch.setattr(stage, "SYNCNET", tmp_path / "syncnet.safetensors")
    match = r"syncnet.safetensors: no such file; `dvc repro train_syncnet`"
    with pytest.raises(WeightsError, match=match):
        run(root, tmp_path)


@pytest.mark.parametrize("key", ["fid", "fvd"])
def test_an_unknown_network_is_named_with_file_and_key(root, tmp_path, key):
    params = Params(evaluate=SECTION.model_copy(update={key: "bogus"}))
    index = index_shards(shard_urls(root / "shards" / "val"), 32)
    match = rf"params.yaml: evaluate.{key}: no frozen part named 'bogus'; known: none, \w+"
    with pytest.raises(ParamsError, match=match):
        stage.evaluate(params, index, index, tmp_path)
