"""Generator and discriminator: shapes and channels; what the generator can see."""

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

from tests.trainers.systems.stabilized.made import SMALL
from trainers.systems.stabilized.configs import CONFIGS, TalkerConfig
from trainers.systems.stabilized.network import Discriminator, TalkerGenerator, heard, pose_of


def made_by(generator, seed=0):
    torch.manual_seed(seed)
    faces, identity = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    sound = torch.randn(3, SMALL.sound)
    return generator, faces, identity, sound


def test_the_published_generator_makes_whole_faces_of_96_pixels_from_512_numbers_of_sound():
    config = CONFIGS["paper"]
    with torch.device("meta"):
        generator, judge = TalkerGenerator(config), Discriminator(config)
        face = torch.empty(2, 3, 96, 96)
        assert generator(face, face, torch.empty(2, 512)).shape == face.shape
        assert judge(face).shape[0] == 2
    assert generator.reduce.weight.shape == (512, 1024, 1, 1)
    first = generator.decoder[0][0]
    assert first.weight.shape[0] == 512 + 512  # face and sound side by side
    encoders = [generator.identity_encoder, generator.pose_encoder]
    shapes = [[p.shape for p in encoder.parameters()] for encoder in encoders]
    assert shapes[0] == shapes[1]


def test_the_generator_sees_the_pose_above_the_mask_alone_and_the_whole_identity():
    torch.manual_seed(0)
    generator, faces, identity, sound = made_by(TalkerGenerator(SMALL).eval())
    before = generator(pose_of(faces), identity, sound)
    lower, upper, shown = (one.clone() for one in (faces, faces, identity))
    lower[..., 16:, :] += 1
    upper[..., :16, :] += 1
    shown[..., 16:, :] += 1
    assert torch.equal(generator(pose_of(lower), identity, sound), before)
    assert not torch.equal(generator(pose_of(upper), identity, sound), before)
    assert not torch.equal(generator(pose_of(faces), shown, sound), before)
    assert not torch.equal(generator(pose_of(faces), identity, sound + 1), before)
    assert before.abs().max() <= 1


def test_the_sound_has_the_scale_of_features_whatever_its_length():
    unit = torch.nn.functional.normalize(torch.randn(4, 512), dim=1)
    torch.testing.assert_close(heard(unit).square().mean(dim=1), torch.ones(4))


def test_every_layer_of_the_discriminator_has_spectral_norm():
    judge = Discriminator(SMALL)
    layers = [one for one in judge.modules() if isinstance(one, torch.nn.Conv2d)]
    assert len(layers) == len(SMALL.judge_widths) + 1
    assert all(is_parametrized(one, "weight") for one in layers)


def test_a_face_that_cannot_be_halved_so_often_is_refused():
    with pytest.raises(ValueError, match="widths: 100 pixels"):
        TalkerConfig(resolution=100)
