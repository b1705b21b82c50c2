import re

import pytest
import yaml

from pipeline.errors import ParamsError
from pipeline.params.curation import Params, load_params
from tests.conftest import ROOT


def load(tmp_path, text: str) -> Params:
    (tmp_path / "params.yaml").write_text(text)
    return load_params(tmp_path / "params.yaml")


TRAINERS = ("train_syncnet", "train_ldm", "avsyncnet", "silent_lip", "stabilized", "syncdiff")


def only_tiny(document: dict) -> dict:
    trainers = {name: document[name] for name in TRAINERS}
    tiny = {
        name: {**section, "profiles": {"tiny": section["profiles"]["tiny"]}}
        for name, section in trainers.items()
    }
    return document | tiny


def test_the_shipped_params_are_the_defaults_and_name_every_key():
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert only_tiny(shipped) == Params().model_dump()


def test_the_profiles_of_yaman_et_al_hold_the_published_numbers():
    shipped = load_params(ROOT / "params.yaml")
    talkers = [one.profiles["paper"] for one in (shipped.silent_lip, shipped.stabilized)]
    for profile in (shipped.avsyncnet.profiles["paper"], *talkers):
        fit = profile.fit
        found = (fit.optimizer, fit.learning_rate, fit.beta1, fit.beta2, fit.weight_decay)
        assert found == ("adam", 1e-4, 0.5, 0.999, 0)
    for profile in talkers:
        weights = (profile.gan_weight, profile.pixel_weight, profile.perceptual_weight)
        assert weights == (1, 10, 1)
        assert profile.vgg == "vgg19"
    g_l = talkers[1]
    assert (g_l.sync_weight, g_l.triplet_weight, g_l.silent_lips) == (2, 0.5, True)
    assert (g_l.sync_loss, g_l.triplet, g_l.start) == ("stabilized", "adaptive", "random")


def test_the_published_profiles_hold_the_published_numbers():
    shipped = load_params(ROOT / "params.yaml")
    paper = shipped.train_syncnet.profiles["paper"]
    assert (paper.batch, paper.fit.learning_rate, paper.fit.seed) == (1024, 1e-5, 42)
    assert (paper.item, paper.negatives, paper.mel) == ("pair", "compat", "compat")
    assert paper.contrast_weight == paper.dropout == paper.augmentation.flip == paper.shift == 0
    per_gpu = {"stage1": 24, "stage2": 4, "stage2_efficient": 4, "stage1_512": 8, "stage2_512": 4}
    for name, clips in per_gpu.items():
        profile = shipped.train_ldm.profiles[name]
        fit = profile.fit
        assert profile.stage == name
        assert (fit.micro_batch, fit.learning_rate, fit.seed) == (clips, 1e-5, 1247)
        assert (fit.precision, fit.schedule, fit.max_grad_norm) == ("fp16", "constant", 1.0)
        assert (profile.gate, profile.antialias, profile.audio_dropout) == ("none", False, 0)
        weights = (profile.sync_weight, profile.lpips_weight, profile.trepa_weight)
        trepa = 0 if name == "stage2_efficient" else 10
        assert weights == ((0, 0, 0) if "stage1" in name else (0.05, 0.1, trepa))


def test_the_profile_paper_of_syncdiff_holds_the_published_numbers():
    paper = load_params(ROOT / "params.yaml").syncdiff.profiles["paper"]
    assert (paper.resolution_px, paper.batch, paper.frozen_layers) == (256, 48, 9)
    assert (paper.pose, paper.prediction, paper.sample_steps) == ("bottleneck", "epsilon", 200)
    assert (paper.timestep_power, paper.hole_loss) == (1.0, False)
    assert paper.pose_noise == paper.token_noise == paper.augmentation.flip == 0


def test_the_file_still_reads_the_same_after_dvc_has_rewritten_it(tmp_path):
    from dvc.utils.serialize import modify_yaml  # as `dvc exp run -S` does

    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    with modify_yaml(str(path)) as document:
        document["train_ldm"]["profile"] = "stage2"
    shipped, found = load_params(ROOT / "params.yaml"), load_params(path)
    assert found.train_ldm.chosen == shipped.train_ldm.profiles["stage2"]
    assert found.train_ldm.profiles == shipped.train_ldm.profiles
    assert found.model_copy(update={"train_ldm": shipped.train_ldm}) == shipped


def test_an_unknown_profile_and_an_unknown_key_of_a_profile_name_what_is_known(tmp_path):
    with pytest.raises(ParamsError, match=r"train_ldm.profile: .*known here: tiny"):
        load(tmp_path, "train_ldm: {profile: stage9}")
    with pytest.raises(ParamsError, match=r"profiles.tiny.fit.steps: unknown key; .*max_steps"):
        load(tmp_path, "train_ldm: {profiles: {tiny: {fit: {steps: 3}}}}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train_syncnet: {profiles: {tiny: {item: pair}}}",
            "profiles.tiny: .*contrast_weight needs item: windows",
        ),
        (
            "train_ldm: {profiles: {tiny: {noise_weight: 0.0, sync_weight: 0.0, "
            "lpips_weight: 0.0, trepa_weight: 0.0}}}",
            "profiles.tiny: .*must be above 0",
        ),
        (
            "train_ldm: {profiles: {tiny: {keep_noisy_input: true}}}",
            "profiles.tiny: .*keep_noisy_input needs start: sd-v1-5",
        ),
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


TOO_LARGE = {
    "seed": (2**63, "9223372036854775807"),
    "split_seed": (2**63, "9223372036854775807"),
    "guidance": (101.0, "100"),
    "sample_guidance": (101.0, "100"),
}


def test_every_seed_and_every_guidance_has_an_upper_bound(tmp_path):
    document = Params().model_dump()
    paths = list(named_in(document, ()))
    assert len(paths) == 11
    for *parents, name in paths:
        value, most = TOO_LARGE[name]
        text = yaml.safe_dump(nested([*parents, name], value))
        key = ".".join([*parents, name])
        with pytest.raises(ParamsError, match=f"{key}: .*less than or equal to {most}"):
            load(tmp_path, text)


def named_in(section: dict, above: tuple):
    for name, value in section.items():
        if isinstance(value, dict):
            yield from named_in(value, (*above, name))
        elif name in TOO_LARGE:
            yield (*above, name)


def nested(keys: list, value: object) -> object:
    return {keys[0]: nested(keys[1:], value)} if keys else value


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match="project's folder"):
        load_params(tmp_path / "params.yaml")


def test_values_that_do_not_go_together_are_named_without_the_rest_of_the_section(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(
        "train_ldm: {profiles: {tiny: {fit: {max_steps: 5, warmup_steps: 20, learning_rate: 0.5}}}}"
    )
    with pytest.raises(ParamsError) as told:
        load_params(path)
    assert re.search(
        r"params.yaml: train_ldm.profiles.tiny.fit: .*warmup_steps \(20\) .* max_steps \(5\)",
        str(told.value),
    )
    assert "learning_rate" not in str(told.value)
