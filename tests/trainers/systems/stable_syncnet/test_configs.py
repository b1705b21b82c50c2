"""Configurations are the published ones, and impossible ones are refused by name."""

import json
from dataclasses import replace

import pytest

from tests.conftest import ROOT
from trainers.systems.stable_syncnet.configs import CONFIGS, PUBLISHED, StableSyncNetConfig

GOLDEN = ROOT / "tests" / "golden"
SECTION = PUBLISHED["syncnet_16_pixel_attn"].sections()
FILES = {**{name: f"g2_{name}_keys.json" for name in PUBLISHED}, "small": "g2_small_attn_keys.json"}


@pytest.mark.parametrize("name", FILES)
def test_sizes_are_those_of_the_published_file(name: str) -> None:
    config, file = CONFIGS[name], json.loads((GOLDEN / FILES[name]).read_text())
    assert config.sections() == file["model_config"]
    read = StableSyncNetConfig.from_sections(
        file["model_config"], num_frames=config.num_frames, latent=config.latent
    )
    assert read == config


@pytest.mark.parametrize("name", PUBLISHED)
def test_inputs_have_the_published_shape(name: str) -> None:
    recorded = json.loads((GOLDEN / "g2_stable_syncnet_results.json").read_text())[name]
    assert [1, *PUBLISHED[name].visual_shape] == recorded["visual_in"]
    assert [1, *PUBLISHED[name].mel_shape] == recorded["audio_in"]
    assert PUBLISHED[name].embedding_size == recorded["embed"][1]


def test_the_published_25_frame_file_reads_though_it_lacks_attn_blocks() -> None:
    section = PUBLISHED["syncnet_25_pixel"].sections()
    for tower in section.values():
        del tower["attn_blocks"]
    read = StableSyncNetConfig.from_sections(section, num_frames=25)
    assert read == PUBLISHED["syncnet_25_pixel"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_out_channels": [32, 64]}, "2 block_out_channels, 7 downsample_factors"),
        ({"block_out_channels": [40, 64, 128, 256, 512, 1024, 2048]}, "40 is no multiple of 32"),
        ({"block_out_channels": [32, 64, 128, 256, 512, 1024, 1024]}, "end in 1024 .audio. and"),
        ({"downsample_factors": [2, 2, 2, 2, 2, 2, 0]}, "must be 1 or more"),
        ({"downsample_factors": [2, 2, 2, 1, 2, 2, 1]}, r"80 x 52 ends as \(2, 1\), not as"),
        ({"attention_blocks": [0]}, "missing or unknown keys: .'attention_blocks'"),
        ({"in_channels": 3}, "3 for sound"),
    ],
)
def test_an_impossible_tower_is_refused_with_its_key(
    change: dict[str, object], message: str
) -> None:
    section = {**SECTION, "audio_encoder": {**SECTION["audio_encoder"], **change}}
    with pytest.raises(ValueError, match=message):
        StableSyncNetConfig.from_sections(section)


def test_a_missing_key_or_tower_is_named() -> None:
    with pytest.raises(ValueError, match="needed: audio_encoder, visual_encoder"):
        StableSyncNetConfig.from_sections({"audio_encoder": {}})
    with pytest.raises(ValueError, match=r"missing or unknown keys: .'block_out_channels'"):
        StableSyncNetConfig.from_sections({**SECTION, "visual_encoder": {"in_channels": 48}})


def test_a_face_that_the_factors_do_not_bring_to_one_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"visual_encoder.downsample_factors: 256 x 512 ends"):
        replace(PUBLISHED["syncnet_16_pixel_attn"], resolution=512)
