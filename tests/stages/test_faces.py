"""The faces stage: from one video to clips with their three files."""

import dataclasses
import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from pipeline.engine.stage import Reject
from pipeline.errors import DecodeError, WeightsError
from pipeline.faces import film_source
from pipeline.faces.backend import Frame
from pipeline.faces.stage import Faces, VideoShots
from pipeline.media.audio import decode_audio
from pipeline.media.encode import read_video
from pipeline.media.frames import GridFrame, film_frames
from pipeline.media.probe import probe
from pipeline.params.curation import FacesParams
from pipeline.tables.rows import Clip, Video
from pipeline.weights import files as weights
from tests.media import Sound, frame_times, write_video

data = pytest.importorskip("skimage.data", reason="pictures of the demo extra")


@pytest.fixture(scope="module")
def stage() -> Faces:
    try:
        weights.fetch()
    except WeightsError as error:
        pytest.skip(str(error))
    stage = Faces(FacesParams())
    stage.setup()
    return stage


def shots_of(path: Path, *shots: tuple[int, int]) -> VideoShots:
    facts = probe(path)
    known = {field.name for field in dataclasses.fields(Video)}
    values = {f.name: getattr(facts, f.name) for f in dataclasses.fields(facts) if f.name in known}
    content = path.read_bytes()
    video = Video(
        video_id=hashlib.sha256(content).hexdigest(),
        uri=path.name,
        size_bytes=len(content),
        **values,
    )
    return VideoShots(video, str(path), shots or ((0, video.num_frames),))


def portrait_at(x: float, y: float, size: int = 160, canvas: tuple[int, int] = (240, 320)) -> Frame:
    face = data.astronaut()[20:230, 110:320, :3]
    matrix = np.array([[size / 210, 0, x - size / 2], [0, size / 210, y - size / 2]])
    grey = (120, 120, 120)
    return np.asarray(cv2.warpAffine(face, matrix, canvas[::-1], borderValue=grey), np.uint8)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine seconds: a moving face for 4 s, no face for 1 s, a face for 4 s."""
    frames = [portrait_at(120 + 0.5 * k, 120 + 6 * np.sin(k / 9)) for k in range(100)]
    frames += [np.full((240, 320, 3), 60, np.uint8)] * 25
    frames += [portrait_at(200, 110) for _ in range(100)]
    for k, frame in enumerate(frames):  # or the steady pictures would be one that stands still
        frame[224:, 3 * k % 300 :][:, :16] = 200
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 9 * 16_000)).astype(np.float32)
    path = tmp_path_factory.mktemp("talk") / "it's a $talk.mp4"
    write_video(path, frames, frame_times(25, 9), Sound(noise))
    return path


SHOTS = ((0, 100), (100, 125), (125, 225))


@pytest.fixture(scope="module")
def made(stage: Faces, talk: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    workdir = tmp_path_factory.mktemp("work")
    return workdir, list(stage.process(shots_of(talk, *SHOTS), workdir))


def test_every_shot_with_a_face_gives_a_clip_within_its_bounds(made: tuple[Path, list]) -> None:
    _, rows = made
    assert [(row.scene, row.track, row.start_frame, row.end_frame) for row in rows] == [
        (0, 0, 0, 100),
        (2, 1, 125, 225),
    ]
    for row in rows:
        assert isinstance(row, Clip)
        assert (row.backend, row.landmark_schema, row.crop_px) == ("litert", "mesh468", 256)
        assert 60 < row.face_px < 110
        assert row.landmark_score > 0.95
        assert (row.interpolated_frames, row.num_faces_in_scene) == (0, 1)
        text = f"{row.video_id}|{row.start_frame}|{row.end_frame}|{row.track}"
        assert row.clip_id == hashlib.sha256(text.encode()).hexdigest()[:20]


def test_a_clip_has_three_files_of_equal_length_and_nothing_else_is_left(
    made: tuple[Path, list],
) -> None:
    workdir, rows = made
    names = {f"{row.clip_id}.{suffix}" for row in rows for suffix in ("mp4", "flac", "npz")}
    assert {path.name for path in workdir.iterdir()} == names
    for row in rows:
        crops = read_video(workdir / f"{row.clip_id}.mp4")
        assert crops.shape == (row.num_frames, 256, 256, 3)
        audio, rate = soundfile.read(workdir / f"{row.clip_id}.flac", dtype="int16")
        assert (rate, audio.shape) == (16_000, (row.num_frames * 640,))
        with np.load(workdir / f"{row.clip_id}.npz") as arrays:
            shapes = {name: (arrays[name].shape, arrays[name].dtype) for name in arrays.files}
        count = row.num_frames
        assert shapes == {
            "landmarks": ((count, 468, 3), np.float32),
            "matrices": ((count, 2, 3), np.float64),
            "scores": ((count,), np.float32),
            "boxes": ((count, 4), np.float32),
            "interpolated": ((count,), np.bool_),
        }


def test_sound_of_a_clip_is_that_of_its_frames_to_the_sample(
    made: tuple[Path, list], talk: Path
) -> None:
    workdir, rows = made
    facts = probe(talk)
    whole = decode_audio(talk, facts.video_start_s, facts.num_frames * 640)
    for row in rows:
        audio, _ = soundfile.read(workdir / f"{row.clip_id}.flac", dtype="int16")
        assert np.array_equal(audio, whole[row.start_frame * 640 : row.end_frame * 640])


def test_crop_holds_the_face_upright_where_the_matrix_says(made: tuple[Path, list]) -> None:
    workdir, rows = made
    with np.load(workdir / f"{rows[0].clip_id}.npz") as arrays:
        matrices, landmarks = arrays["matrices"], arrays["landmarks"]
    for t in (0, 50, 99):
        points = landmarks[t, :, :2] @ matrices[t, :, :2].T + matrices[t, :, 2]
        left, right, chin = (
            points[[33, 133]].mean(axis=0),
            points[[263, 362]].mean(axis=0),
            points[152],
        )
        assert abs(left[1] - right[1]) < 12
        assert 40 < left[0] < 100
        assert 156 < right[0] < 216
        assert 190 < chin[1] < 256


def test_a_steady_face_gives_a_steady_crop(made: tuple[Path, list]) -> None:
    workdir, rows = made
    crops = read_video(workdir / f"{rows[1].clip_id}.mp4").astype(np.float32)
    assert np.abs(np.diff(crops[:, 60:200, 60:200], axis=0)).mean() < 1.0


def test_same_video_gives_the_same_bytes_from_another_folder(
    stage: Faces, made: tuple[Path, list], talk: Path, tmp_path: Path
) -> None:
    first, rows = made
    copy = tmp_path / "other name.mp4"
    copy.write_bytes(talk.read_bytes())
    again = tmp_path / "again"
    again.mkdir()
    assert list(stage.process(shots_of(copy, *SHOTS), again)) == rows
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (again / path.name).read_bytes(), path.suffix


def test_a_track_too_short_for_a_clip_is_a_rejected_row(
    stage: Faces, talk: Path, tmp_path: Path
) -> None:
    (rejected,) = stage.process(shots_of(talk, (0, 70)), tmp_path)
    assert isinstance(rejected, Reject)
    assert rejected.reason == "track_too_short"
    assert rejected.row.num_frames == 70
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_any_face_is_rejected(stage: Faces, talk: Path, tmp_path: Path) -> None:
    assert stage.process(shots_of(talk, (100, 125)), tmp_path).reason == "no_face"
    assert list(tmp_path.iterdir()) == []


def test_two_people_give_two_clips_that_know_of_each_other(stage: Faces, tmp_path: Path) -> None:
    def pair(k: int) -> Frame:
        left, right = portrait_at(80 + 0.2 * k, 120, 130), portrait_at(240, 120 + 0.1 * k, 130)
        return np.asarray(np.where(np.arange(320)[None, :, None] < 160, left, right), np.uint8)

    path = tmp_path / "pair.mp4"
    silence = Sound(np.zeros((1, 4 * 16_000), np.float32))
    write_video(path, [pair(k) for k in range(100)], frame_times(25, 4), silence)
    workdir = tmp_path / "work"
    workdir.mkdir()
    rows = stage.process(shots_of(path), workdir)
    assert [(row.track, row.num_frames, row.num_faces_in_scene) for row in rows] == [
        (0, 100, 2),
        (1, 100, 2),
    ]


def test_identity_and_params_name_the_result_and_nothing_else(talk: Path, tmp_path: Path) -> None:
    stage = Faces(FacesParams())
    here, there = shots_of(talk, *SHOTS), shots_of(talk, *SHOTS)
    there = dataclasses.replace(there, location="s3://elsewhere/talk.mp4")
    assert stage.identity(here) == stage.identity(there)
    assert stage.identity(here) != stage.identity(shots_of(talk, (0, 50)))
    other = Faces(FacesParams(insightface_root="/elsewhere"))
    assert stage.cache_params() == other.cache_params()
    assert stage.cache_params() != Faces(FacesParams(crf=20)).cache_params()


def test_clips_before_a_picture_that_breaks_off_are_kept_and_the_rest_is_a_row(
    stage: Faces, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, span: object = None) -> Iterator[GridFrame]:
        yield from islice(film_frames(path), stops)
        raise DecodeError("the last 3.00 s of the picture do not decode")

    monkeypatch.setattr(film_source, "film_frames", broken)
    stops = 150
    *rows, rest = stage.process(shots_of(talk, *SHOTS), tmp_path)
    assert [(row.start_frame, row.end_frame) for row in rows if isinstance(row, Clip)] == [(0, 100)]
    assert [row.reason for row in rows if isinstance(row, Reject)] == ["track_too_short"]
    assert (rest.reason, rest.row.start_frame, rest.row.end_frame) == ("decode_error", 150, 225)
    assert "6.00 s" in rest.detail
    stops = 60
    with pytest.raises(DecodeError, match="do not decode"):
        stage.process(shots_of(talk, *SHOTS), tmp_path)


def test_identity_holds_the_start_of_the_picture_and_the_versions(talk: Path) -> None:
    stage, here = Faces(FacesParams()), shots_of(talk, *SHOTS)
    later = dataclasses.replace(here.video, video_start_s=here.video.video_start_s + 0.5)
    assert stage.identity(here) != stage.identity(dataclasses.replace(here, video=later))
    versions = stage.cache_params()["versions"]
    assert {"pyav", "libavcodec", "libswscale", "opencv", "ai-edge-litert"} <= set(versions)
    assert versions["x264"].startswith("x264 - core ")


def test_a_file_that_is_nothing_but_damage_fails_the_item(
    stage: Faces, talk: Path, tmp_path: Path
) -> None:
    item = shots_of(talk, *SHOTS)
    broken = tmp_path / "broken.mp4"
    content = bytearray(talk.read_bytes())
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    content[begin:end] = bytes(end - begin)
    broken.write_bytes(content)
    workdir = tmp_path / "work"
    workdir.mkdir()
    with pytest.raises(DecodeError):
        stage.process(dataclasses.replace(item, location=str(broken)), workdir)
    assert list(workdir.iterdir()) == []


def test_crops_of_512_pixels_come_from_the_same_faces(talk: Path, tmp_path: Path) -> None:
    stage = Faces(FacesParams(crop_px=512))
    stage.setup()
    (row,) = stage.process(shots_of(talk, (0, 75)), tmp_path)
    assert read_video(tmp_path / f"{row.clip_id}.mp4").shape == (75, 512, 512, 3)


def test_a_dog_is_no_face(stage: Faces, shared: Path, tmp_path: Path) -> None:
    rows = stage.process(shots_of(shared / "clips" / "vggsound_dog.mp4"), tmp_path)
    assert isinstance(rows, Reject)
    assert rows.reason == "no_face"


def test_several_people_of_a_real_shot_are_several_tracks(
    stage: Faces, shared: Path, tmp_path: Path
) -> None:
    item = shots_of(shared / "clips" / "datajuicer_video3.mp4", (132, 232))
    rows = stage.process(item, tmp_path)
    clips = [row for row in rows if isinstance(row, Clip)]
    assert len({clip.track for clip in clips}) == 2
    assert all(clip.num_faces_in_scene >= 2 for clip in clips)


def test_a_profile_is_followed(stage: Faces, shared: Path, tmp_path: Path) -> None:
    item = shots_of(shared / "clips" / "spkvid_side5.mp4", (0, 80))
    (row,) = stage.process(item, tmp_path)
    assert isinstance(row, Clip)
    assert (row.num_frames, row.interpolated_frames) == (80, 0)


def test_the_insightface_backend_gives_the_same_kind_of_clip(
    shared: Path, talk: Path, tmp_path: Path
) -> None:
    root = shared / "weights" / "insightface"
    if not (root / "models" / "buffalo_test").is_dir():
        pytest.skip(f"no InsightFace pack in {root}")
    params = FacesParams(
        backend="insightface",
        insightface_name="buffalo_test",
        insightface_root=str(root),
        min_seconds=1.04,
    )
    stage = Faces(params)
    stage.setup()
    (row,) = stage.process(shots_of(talk, (125, 155)), tmp_path)
    assert (row.backend, row.landmark_schema) == ("insightface", "insightface106")
    with np.load(tmp_path / f"{row.clip_id}.npz") as arrays:
        assert arrays["landmarks"].shape == (30, 106, 3)
