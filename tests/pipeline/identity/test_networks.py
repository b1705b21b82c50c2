"""The bundled networks answer as the published ones did: tests/golden/identity.json.

There stand dlib's own embedding of the picture below, and that of the published speaker encoder,
run by torch on librosa's mel spectrum of the sound below.
"""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.errors import WeightsError
from pipeline.exact_layers import convolved, on_grid
from pipeline.identity.clip_identity import speech_windows
from pipeline.identity.face_chip import face_chips
from pipeline.identity.face_network import FACE_PX, WEIGHTS, FaceNetwork
from pipeline.identity.voice_network import PATH, VoiceNetwork, mel_windows
from pipeline.quality.cover import WEIGHTS_PATH
from pipeline.weights.files import path_of
from tests.conftest import ROOT

GOLDEN = json.loads((ROOT / "tests/golden/identity.json").read_text())


@pytest.fixture(scope="module")
def face_network():
    return FaceNetwork()


def picture() -> np.ndarray:
    y, x = np.mgrid[:FACE_PX, :FACE_PX]
    red = 128 + 100 * np.sin(x / 17) * np.cos(y / 23)
    green, blue = 110 + 80 * np.cos(x / 9 + y / 31), 90 + 60 * np.sin(y / 11)
    return np.stack([red, green, blue], 2).round().astype(np.uint8)


def sound() -> np.ndarray:
    n = np.arange(16_000)
    swelling = 1 + 0.5 * np.sin(2 * np.pi * 4 * n / 16_000)
    voice = 0.2 * np.sin(2 * np.pi * 220 * n / 16_000) * swelling
    return (voice + 0.1 * np.sin(2 * np.pi * 1330 * n / 16_000)).astype(np.float32)


def test_a_face_has_the_published_embedding(face_network):
    (found,) = face_network.embed(picture()[None])
    assert np.abs(found - GOLDEN["face"]).max() < 0.002


def test_a_voice_has_the_published_embedding():
    found = VoiceNetwork().embed(mel_windows(sound(), [0]))
    assert np.abs(found - GOLDEN["voice"]).max() < 0.002


def test_an_embedding_does_not_depend_on_the_pictures_beside_it(face_network):
    faces = np.stack([picture(), 255 - picture(), picture()[::-1]])
    together = face_network.embed(faces)
    assert (together[1] == face_network.embed(faces[1:2])[0]).all()


def test_louder_recordings_of_a_voice_sound_alike():
    network = VoiceNetwork()
    quiet, loud = (network.embed(mel_windows(sound() * gain, [0])) for gain in (0.001, 0.01))
    assert quiet @ loud > 0.9999


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (7, 2, 0)])
def test_convolutions_are_torchs(kernel, stride, padding):
    rng = np.random.default_rng(0)
    value = on_grid(rng.normal(size=(2, 3, 15, 15)))
    weight = on_grid(rng.normal(size=(4, 3 * kernel * kernel)))
    bias = on_grid(rng.normal(size=4))
    found = convolved(value, weight, bias, kernel, stride, padding)
    taps = torch.from_numpy(weight.reshape(4, 3, kernel, kernel))
    expected = functional.conv2d(
        torch.from_numpy(value), taps, torch.from_numpy(bias), stride, padding
    )
    assert np.abs(found - expected.numpy()).max() < 1e-9


def test_other_weights_of_a_voice_are_refused(tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(PATH.read_bytes()[:-100])
    for path in (cut, tmp_path / "absent"):
        with pytest.raises(WeightsError, match="restore it with git"):
            VoiceNetwork(path)
    with pytest.raises(WeightsError, match="not those of the voice network"):
        VoiceNetwork(WEIGHTS_PATH)


def test_other_weights_of_a_face_are_refused(tmp_path):
    cut = tmp_path / "cut.dat"
    cut.write_bytes(path_of(WEIGHTS).read_bytes()[:-100_000])
    with pytest.raises(WeightsError, match="not those of the face network"):
        FaceNetwork(cut)


@pytest.mark.parametrize("size", [256, 512])
def test_the_eyes_of_an_aligned_crop_lie_where_the_network_expects_them(size):
    """A dot at a place of the 256-px crop is found at the place that its matrix says."""
    crop = np.zeros((size, size, 3), np.uint8)
    x, y = 90 * size // 256, 100 * size // 256
    crop[y - 4 : y + 5, x - 4 : x + 5] = 255
    (chip,) = face_chips([crop])
    rows, columns = np.nonzero(chip[:, :, 0] > 128)
    assert rows.mean() == pytest.approx(100 * 0.528 + 9.6, abs=1)
    assert columns.mean() == pytest.approx(90 * 0.528 + 7.3, abs=1)


def test_the_voice_is_taken_from_where_there_is_speech():
    speech = np.zeros(250)
    speech[75:130] = 1.0
    assert speech_windows(speech) == [75 * 640, 100 * 640]
    assert speech_windows(np.zeros(250)) == []
    assert speech_windows(np.ones(12)) == [0]
    assert len(speech_windows(np.ones(2500))) == 6
