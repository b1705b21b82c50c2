"""Dubbed clips survive a killed evaluation."""

import numpy as np
import pytest

from trainers.evaluation.dub_cache import Dubber, DubCache

FRAMES = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
SOUND = np.arange(1280, dtype=np.int16)


@pytest.fixture
def dubs(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPFORGE_TRAINING", str(tmp_path))
    made = []

    def dub(frames, audio, reference):
        made.append(int(audio[0]))
        return 255 - frames

    def of(**facts):
        return DubCache(
            Dubber(dub=dub, round_trip=None, seams=None, size_px=4, names={}, facts=facts)
        ), made

    return of


def test_a_clip_is_dubbed_once(dubs):
    first, made = dubs(steps=1)
    second, _ = dubs(steps=1)
    np.testing.assert_array_equal(first.dubbed(FRAMES, SOUND, FRAMES), 255 - FRAMES)
    np.testing.assert_array_equal(second.dubbed(FRAMES, SOUND, FRAMES), 255 - FRAMES)
    assert len(made) == 1


def test_another_model_picture_sound_or_reference_is_dubbed_anew(dubs):
    one, made = dubs(steps=1)
    one.dubbed(FRAMES, SOUND, FRAMES)
    one.dubbed(FRAMES + 1, SOUND, FRAMES)
    one.dubbed(FRAMES, SOUND + 1, FRAMES)
    one.dubbed(FRAMES, SOUND, FRAMES + 1)
    dubs(steps=2)[0].dubbed(FRAMES, SOUND, FRAMES)
    assert len(made) == 5


def test_a_damaged_file_is_replaced_and_logged(dubs, caplog):
    one, made = dubs(steps=1)
    one.dubbed(FRAMES, SOUND, FRAMES)
    (path,) = one.folder.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-20])
    np.testing.assert_array_equal(one.dubbed(FRAMES, SOUND, FRAMES), 255 - FRAMES)
    assert "damaged" in caplog.text
    assert len(made) == 2
