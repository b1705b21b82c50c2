"""Whole videos: what changes, what does not, and what an interruption costs."""

import json
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
import soundfile

from pipeline.errors import ParamsError, SourceError, StorageError
from pipeline.media.frames import frames_at_25fps
from tests.media import frame_times, write_sound, write_video
from tests.trainers.dubbing.scene import (
    LEFT,
    RIGHT,
    Squares,
    Tint,
    always,
    bundle,
    film,
    pictures,
    tone,
    voice,
)
from trainers.dubbing import provenance
from trainers.dubbing import video_dubbing as module
from trainers.dubbing.segment_store import output_lock
from trainers.dubbing.sound_track import same_samples
from trainers.dubbing.video_dubbing import dub_video
from trainers.dubbing.video_options import VideoOptions
from trainers.talking_face.model import DubOptions


@pytest.fixture(autouse=True)
def _squares(monkeypatch):
    monkeypatch.setattr(module, "open_backend", lambda params: Squares([LEFT, RIGHT]))
    monkeypatch.setattr(provenance, "weights_of", lambda params: {})


@pytest.fixture(scope="module")
def model():
    return bundle()


def dub(model, folder, video, sound, name="out.mp4", generator=Tint, **options):
    out = folder / name
    return out, dub_video(
        video, sound, out, model, VideoOptions(**options), generator_of=lambda *_: generator()
    )


def frames(path):
    return np.stack(list(frames_at_25fps(path)))


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def mouth(box, grow=0):
    x0, y0, x1, y1 = (int(value) for value in box)
    return slice(y0 - grow, y1 + 50 + grow), slice(x0 - 30 - grow, x1 + 30 + grow)


def test_only_the_mouth_changes_and_the_sound_is_the_given_one(tmp_path, model):
    video = film(tmp_path / "v.mp4", 40, sound=tone(40))
    sound = write_sound(tmp_path / "a.m4a", tone(30))
    out, result = dub(model, tmp_path, video, sound)
    before, after = frames(video)[:31], frames(out)
    assert (result.num_frames, result.dubbed_frames, result.sound_exact) == (len(after), 31, True)
    after = after[:]
    rest = np.ones(before.shape[1:3], bool)
    rest[mouth(LEFT)] = False
    assert min(psnr(a[rest], b[rest]) for a, b in zip(before, after, strict=True)) > 40
    assert psnr(before[:, ~rest], after[:, ~rest]) < 25
    assert same_samples(sound, out, round(30 / 25 * 44_100))
    assert not (tmp_path / "out.mp4.parts").exists()


def test_a_picture_of_odd_size_gets_its_last_row_twice(tmp_path, model):
    odd = [one[:191, :301] for one in pictures(3, {LEFT: always})]
    video = write_video(tmp_path / "v.mkv", odd, frame_times(25, 0.12), codec="ffv1", options={})
    out, _ = dub(model, tmp_path, video, voice(tmp_path / "a.wav", 3))
    after = frames(out)
    assert after.shape[1:] == (192, 302, 3)
    assert psnr(after[:3, 150:191, :301], frames(video)[:, 150:]) > 40


def test_faceless_frames_pass_through(tmp_path, model):
    there = lambda n: not 12 <= n < 30  # noqa: E731
    video = film(tmp_path / "v.mp4", 42, {LEFT: there})
    out, result = dub(model, tmp_path, video, voice(tmp_path / "a.wav", 42))
    before, after = frames(video), frames(out)[:42]
    quiet = [psnr(a, b) for a, b in zip(before, after, strict=True)]
    assert result.dubbed_frames == 24
    assert min(quiet[12:30]) > 40
    assert max(quiet[:12] + quiet[30:]) < 35


def test_of_two_faces_only_the_chosen_one_changes(tmp_path, model):
    video = film(tmp_path / "v.mp4", 18, {LEFT: always, RIGHT: always})
    sound = voice(tmp_path / "a.wav", 18)
    before = frames(video)
    for chosen, own, other in (((0,), LEFT, RIGHT), ((1,), RIGHT, LEFT), ("main", LEFT, RIGHT)):
        after = frames(dub(model, tmp_path, video, sound, faces=chosen)[0])[:18]
        assert psnr(before[:, *mouth(own)], after[:, *mouth(own)]) < 25
        assert psnr(before[:, *mouth(other)], after[:, *mouth(other)]) > 40
    after = frames(dub(model, tmp_path, video, sound, faces="all")[0])[:18]
    assert all(psnr(before[:, *mouth(b)], after[:, *mouth(b)]) < 25 for b in (LEFT, RIGHT))


def test_a_run_that_was_stopped_goes_on_with_the_same_bytes(tmp_path, model):
    video = film(tmp_path / "v.mp4", 50)
    sound = voice(tmp_path / "a.wav", 64)
    whole, _ = dub(model, tmp_path, video, sound, part_seconds=0.6)
    stopped, generators = tmp_path / "stopped.mp4", []

    def generator(stop_after=10**9):
        generators.append(Tint(stop_after=stop_after))
        return generators[-1]

    with pytest.raises(KeyboardInterrupt):
        dub(model, tmp_path, video, sound, stopped.name, lambda: generator(4), part_seconds=0.6)
    assert not stopped.exists()
    (folder,) = [one for one in (tmp_path / "stopped.mp4.parts").iterdir() if one.is_dir()]
    (folder / "part-000009.mp4.part").write_bytes(b"what a killed process leaves")
    _, result = dub(model, tmp_path, video, sound, stopped.name, generator, part_seconds=0.6)
    assert stopped.read_bytes() == whole.read_bytes()
    assert result.resumed_frames == 45
    assert generators[-1].starts == [36, 48], "only windows that the missing frames need"
    assert not folder.parent.exists()


def test_segments_of_other_settings_are_not_reused(tmp_path, model):
    video, sound = film(tmp_path / "v.mp4", 30), voice(tmp_path / "a.wav", 30)
    for seed in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            dub(
                model,
                tmp_path,
                video,
                sound,
                generator=lambda: Tint(stop_after=2),
                dub=DubOptions(seed=seed),
                part_seconds=0.4,
            )
    assert len([one for one in (tmp_path / "out.mp4.parts").iterdir() if one.is_dir()]) == 2


def test_longer_sound_runs_the_video_back_and_forth_without_a_seam(tmp_path, model):
    video = film(tmp_path / "v.mp4", 20)
    out, result = dub(model, tmp_path, video, voice(tmp_path / "a.wav", 44))
    before, after = frames(video), frames(out)
    order = [*range(20), *range(18, -1, -1), *range(1, 6)]
    assert result.num_frames == 44
    top = slice(150, None)  # below the face
    assert min(psnr(before[n, top], one[top]) for n, one in zip(order, after, strict=True)) > 38
    mouths = after[:, 75:85, 70:90].astype(float).mean(axis=(1, 2, 3))
    assert np.abs(np.diff(mouths)).max() < 1.5


@pytest.mark.parametrize(
    "name", ["-i.mp4", "a:b %d {x}.mp4", "ñandú 'quoted\".mkv", "line\nend.mp4"]
)
def test_hostile_names_are_names(tmp_path, model, name):
    video = film(tmp_path / "v.mp4", 3).rename(tmp_path / f"in {name}")
    sound = voice(tmp_path / "a.wav", 3).rename(tmp_path / "concat:a.wav")
    out, _ = dub(model, tmp_path, video, sound, name)
    assert same_samples(sound, out, 3 * 640)
    assert {one.name for one in tmp_path.iterdir()} == {video.name, sound.name, name}


def test_the_metadata_has_the_model_and_the_options(tmp_path, model):
    video, sound = film(tmp_path / "v.mp4", 3), voice(tmp_path / "a.wav", 3)
    for name in ("a.mp4", "a.mkv"):
        out, _ = dub(model, tmp_path, video, sound, name, dub=DubOptions(steps=7))
        with av.open(str(out)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
        result = json.loads(tags["comment"])
        assert result["options"]["steps"] == 7
        assert result["stand_ins"] == ["vae=stand-in:blocks", "whisper=stand-in:whisper-tiny"]


def test_the_metadata_counts_clipped_samples_where_there_are_some(tmp_path, model):
    video, loud = film(tmp_path / "v.mp4", 3), np.zeros(3 * 640)
    loud[:5] = 2.0
    for name, subtype, clipped in [("a", "FLOAT", 5), ("b", "PCM_16", None)]:
        soundfile.write(tmp_path / f"{name}.wav", loud, 16_000, subtype)
        out, result = dub(model, tmp_path, video, tmp_path / f"{name}.wav", f"{name}.mp4")
        with av.open(str(out)) as container:
            assert json.loads(container.metadata["comment"]).get("clipped_samples") == clipped
        assert result.sound_clipped == (clipped or 0)


def test_the_metadata_has_no_local_path(tmp_path, model):
    facts = {"profile": {"start": "sd-v1-5:/home/ann/sd.pt"}, "syncnet": "/home/ann/sync.pt"}
    video, sound = film(tmp_path / "v.mp4", 3), voice(tmp_path / "a.wav", 3)
    out, _ = dub(replace(model, facts={**model.facts, **facts}), tmp_path, video, sound)
    with av.open(str(out)) as container:
        result = container.metadata["comment"]
    assert json.loads(result)["model"]["syncnet"] == "sync.pt"
    assert "ann" not in result


def test_sound_that_the_container_refuses_becomes_flac(tmp_path, model):
    video = film(tmp_path / "v.mp4", 3)
    sound = write_sound(tmp_path / "a.mp3", tone(3, 8000, "libmp3lame", channels=1))
    out, result = dub(model, tmp_path, video, sound)
    assert (result.sound_codec, result.sound_copied) == ("flac", False)
    assert len(frames(out)) == result.num_frames


def test_progress_is_reported_frame_by_frame_from_the_first_phase_on(tmp_path, model):
    video, sound = film(tmp_path / "v.mp4", 30), voice(tmp_path / "a.wav", 30)
    seen = []
    dub_video(
        video,
        sound,
        tmp_path / "out.mp4",
        model,
        VideoOptions(),
        progress=lambda *facts: seen.append(facts),
        generator_of=lambda *_: Tint(),
    )
    assert seen[0] == ("shots", 0, 30)
    for phase in ("faces", "dub"):
        done = [number for name, number, total in seen if name == phase and number]
        assert done == list(range(1, 31))
    assert {total for _, _, total in seen} == {30}


def test_a_model_for_small_faces_dubs_a_video_too(tmp_path):
    model = bundle(size_px=64, frames=4)
    video, sound = film(tmp_path / "v.mp4", 4), voice(tmp_path / "a.wav", 4)
    options = VideoOptions(dub=DubOptions(steps=1, guidance=1.0, overlap_frames=1))
    dub_video(video, sound, tmp_path / "out.mp4", model, options)
    before, after = frames(video), frames(tmp_path / "out.mp4")[:4]
    assert psnr(before[:, *mouth(LEFT)], after[:, *mouth(LEFT)]) < 25
    assert psnr(before[:, :, 160:], after[:, :, 160:]) > 40


def test_a_smaller_generator_changes_the_same_place(tmp_path, model):
    class Small(Tint):
        size_px = 64

    video, sound = film(tmp_path / "v.mp4", 3), voice(tmp_path / "a.wav", 3)
    large, _ = dub(model, tmp_path, video, sound, "large.mp4")
    small, _ = dub(model, tmp_path, video, sound, "small.mp4", generator=Small)
    assert psnr(frames(large), frames(small)) > 35


def test_the_real_network_with_random_weights_dubs_a_video(tmp_path):
    model = bundle(frames=4)
    video, sound = film(tmp_path / "v.mp4", 4), voice(tmp_path / "a.wav", 4)
    options = VideoOptions(dub=DubOptions(steps=1, guidance=1.0, overlap_frames=1))
    dub_video(video, sound, tmp_path / "out.mp4", model, options)
    before, after = frames(video), frames(tmp_path / "out.mp4")[:4]
    assert psnr(before[:, *mouth(LEFT)], after[:, *mouth(LEFT)]) < 25
    assert psnr(before[:, :, 160:], after[:, :, 160:]) > 40


def test_an_unusable_input_is_an_error_with_its_reason(tmp_path, model):
    video, sound = film(tmp_path / "v.mp4", 5), voice(tmp_path / "a.wav", 5)
    none = film(tmp_path / "none.mp4", 5, {})
    with pytest.raises(SourceError, match=r"none\.mp4: no face of at least 32 px .* lower"):
        dub(model, tmp_path, none, sound)
    with pytest.raises(SourceError, match="--face 3: no such face"):
        dub(model, tmp_path, video, sound, faces=(3,))
    with pytest.raises(SourceError, match=r"absent\.mp4: cannot be read"):
        dub(model, tmp_path, tmp_path / "absent.mp4", sound)
    with pytest.raises(SourceError, match=r"v\.mp4: no audio stream"):
        dub(model, tmp_path, video, video)
    with pytest.raises(SourceError, match=r"a\.wav: the file has no video stream"):
        dub(model, tmp_path, sound, sound)
    with pytest.raises(ParamsError, match=r"--overlap 9: .*; give 0 to 8"):
        dub(model, tmp_path, video, sound, dub=DubOptions(overlap_frames=9))
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ParamsError, match=r"folder\.mp4: this is a folder"):
        dub(model, tmp_path, video, sound, "folder.mp4")
    with pytest.raises(ParamsError, match=r"out\.avi: the output must end in \.mp4 or \.mkv"):
        dub(model, tmp_path, video, sound, "out.avi")
    assert not [one for one in tmp_path.iterdir() if one.suffix == ".parts"]


def test_a_still_picture_can_be_dubbed(tmp_path, model):
    (picture,) = pictures(1, {LEFT: always})
    cv2.imwrite(str(tmp_path / "v.png"), picture[..., ::-1])
    out, result = dub(model, tmp_path, tmp_path / "v.png", voice(tmp_path / "a.wav", 20))
    assert (result.num_frames, result.dubbed_frames) == (20, 20)
    assert psnr(frames(out)[:, 150:], picture[None, 150:]) > 40


def test_two_runs_do_not_make_the_same_file_at_once(tmp_path, model):
    video, sound = film(tmp_path / "v.mp4", 3), voice(tmp_path / "a.wav", 3)
    with output_lock(tmp_path / "out.mp4"), pytest.raises(StorageError, match="another run"):
        dub(model, tmp_path, video, sound)


def test_an_output_must_not_be_its_own_input(tmp_path, model):
    video, sound = film(tmp_path / "v.mp4", 3), voice(tmp_path / "a.wav", 3)
    with pytest.raises(ParamsError, match="is the input"):
        dub(model, tmp_path, video, sound, "v.mp4")
