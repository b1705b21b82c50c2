import pytest
import yaml

from pipeline.errors import ParamsError
from pipeline.params import Params, load_params
from tests.conftest import ROOT


def load(tmp_path, text: str) -> Params:
    (tmp_path / "params.yaml").write_text(text)
    return load_params(tmp_path / "params.yaml")


def test_the_shipped_params_are_the_defaults_and_name_every_key():
    assert load_params(ROOT / "params.yaml") == Params()
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert shipped == Params().model_dump()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct: {}", "selct: unknown key; known here: .*select"),
        (
            "select: {min_conf: 1}",
            "select.min_conf: unknown key; known here: .*syncnet_min_confidence",
        ),
        ("select: {min_sharpness: high}", "select.min_sharpness: .*number.*'high'"),
        ("select: {max_offset_frames: 40}", "max_offset_frames: .*less than or equal to 15"),
        ("faces: {backend: dlib}", "faces.backend: .*'litert' or 'insightface'"),
        ("faces: {min_seconds: 6.0}", "at least 2 \\* min_seconds"),
        ("select: {val_share: 0.8, test_share: 0.8}", "must not be more than 1"),
        ("select: {min_luma: 200.0, max_luma: 10.0}", "min_luma must be below"),
        ("scenes: {adaptive_threshold: .inf}", "finite"),
        ("faces: {min_seconds: 0.2}", "min_seconds: .*1.04"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_param_stops_with_file_key_and_fix(tmp_path, text, message):
    with pytest.raises(ParamsError, match=message) as caught:
        load(tmp_path, text)
    assert "params.yaml" in str(caught.value)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="project's folder"):
        load_params(tmp_path / "params.yaml")
