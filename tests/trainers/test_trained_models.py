"""A folder's model.json names the system that loads it."""

import json

import pytest

from pipeline.errors import ParamsError, WeightsError
from tests.trainers.dubbing.scene import bundle
from tests.trainers.talking_face.frame_wise import FrameWiseModel
from trainers.dubbing.sampling_options import sampling_options, shown_options
from trainers.systems.latentsync.bundle import LdmBundle, save_bundle
from trainers.trained_models import load_model


def saved(folder):
    model = bundle(64)
    facts = {"frames": 16, "resolution_px": 64, "sha256": {"vae": {}, "whisper": {}}}
    save_bundle(folder, model.unet, {**model.facts, **facts})
    return folder / "model.json"


def test_a_model_is_loaded_by_the_system_that_its_facts_name(tmp_path):
    path = saved(tmp_path)
    facts = json.loads(path.read_text())
    assert facts["system"] == "latentsync"
    assert isinstance(load_model(tmp_path), LdmBundle)
    del facts["system"]  # as models from before the key
    path.write_text(json.dumps(facts))
    assert load_model(tmp_path).system == "latentsync"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"system": "wav3lip"}', "system: 'wav3lip' is unknown; known: latentsync"),
        ('{"system": 3}', "system: must be a name, is 3"),
        ("[]", "must be a JSON object"),
        ("{", "no model is described here"),
    ],
)
def test_what_is_no_model_is_named_with_its_file(tmp_path, content, told):
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(WeightsError, match=f"model.json: {told}"):
        load_model(tmp_path)


def test_a_stage_that_has_not_trained_is_named(tmp_path):
    (tmp_path / "stabilized").mkdir()
    (tmp_path / "stabilized" / "untrained.json").write_text("{}")
    with pytest.raises(WeightsError, match="not trained yet; run `dvc repro stabilized`"):
        load_model(tmp_path / "stabilized")


def test_a_model_takes_its_own_sampling_options_and_refuses_others():
    model = FrameWiseModel(sampling={"steps": 25, "reference": "first"})
    options = sampling_options(model, {"seed": 3})
    assert (options.steps, options.reference, options.overlap_frames) == (25, "first", 0)
    assert shown_options(model, options) == "25 steps, fp32"
    with pytest.raises(ParamsError, match=r"--guidance: .*frame-wise has no such option.*--steps"):
        sampling_options(model, {"guidance": 2.0})
