import dataclasses
import importlib.util
import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import DecodeError, ParamsError, UnreadableError
from pipeline.faces.schemas import INSIGHTFACE106, MESH468
from pipeline.params.curation import QualityParams
from pipeline.quality.faces_seen import FacesSeen
from pipeline.tables.rows import Quality
from stages.quality import ClipToMeasure, QualityStage
from tests.pipeline.quality.synthetic import (
    Recipe,
    make_clip,
    moving,
    texture,
    track,
)


@pytest.fixture(scope="module")
def stage() -> QualityStage:
    made = QualityStage(QualityParams())
    made.setup()
    return made


def alone(files, **changes) -> ClipToMeasure:
    return ClipToMeasure(files, FacesSeen(1.0, 1), **changes)


def measure(stage, files, tmp_path) -> Quality:
    (row,) = stage.process(alone(files), tmp_path)
    return row


def assert_all_finite(row: Quality) -> None:
    for name, value in dataclasses.asdict(row).items():
        numbers = value if isinstance(value, list) else [value]
        assert all(not isinstance(one, float) or math.isfinite(one) for one in numbers), name


SERIES = ("roll_by_frame", "change_by_frame", "cover_by_frame", "speech_by_frame")


@pytest.mark.parametrize("schema", [MESH468, INSIGHTFACE106], ids=lambda s: s.name)
def test_a_plain_clip_is_measured_in_every_field(stage, tmp_path, schema):
    points = track(schema, 50, opening=0.05, yaw=20)
    row = measure(stage, make_clip(tmp_path, recipe=Recipe(schema, points=points)), tmp_path)
    assert_all_finite(row)
    assert (row.clip_id, row.face_px) == ("clip", 120.0)
    assert row.yaw_deg == pytest.approx(20, abs=6)
    assert row.mouth_movement > 0.02
    assert row.frozen_share == 0
    assert row.speech_share == row.snr_db == 0


def test_the_same_clip_under_another_path_gives_the_same_row(stage, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two folders"
    one.mkdir()
    two.mkdir()
    rows = [measure(stage, make_clip(folder), tmp_path) for folder in (one, two)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(num_frames=1),
        Recipe(num_frames=2),
        Recipe(luma=np.zeros((50, 256, 256))),
        Recipe(luma=np.repeat(texture()[None], 50, axis=0)),
        Recipe(points=np.zeros((50, 468, 3), np.float32)),
        Recipe(arrays={"interpolated": np.ones(50, bool)}),
        Recipe(audio=np.ones(32_000)),
    ],
    ids=["one-frame", "two-frames", "black", "frozen", "no-face", "all-interpolated", "constant"],
)
def test_no_clip_however_odd_gives_a_number_that_is_not_finite(stage, tmp_path, recipe):
    assert_all_finite(measure(stage, make_clip(tmp_path, recipe=recipe), tmp_path))


def test_frames_in_which_the_face_was_lost_count_as_no_confidence(stage, tmp_path):
    lost = np.arange(50) < 10
    clip = make_clip(tmp_path, recipe=Recipe(arrays={"interpolated": lost}))
    assert measure(stage, clip, tmp_path).landmark_score == pytest.approx(0.9 * 0.8, abs=1e-3)


@pytest.mark.parametrize("suffix", ["mp4", "npz", "flac"])
@pytest.mark.parametrize("content", [None, b"", b"broken"], ids=["absent", "empty", "broken"])
def test_a_file_that_cannot_be_read_fails_this_clip_only(stage, tmp_path, suffix, content):
    clip = make_clip(tmp_path)
    path = tmp_path / f"clip.{suffix}"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    refused = content is None
    with pytest.raises(UnreadableError if refused else DecodeError):
        stage.process(alone(clip), tmp_path)


def test_the_cache_key_follows_content_params_and_weights_but_no_path(stage, tmp_path):
    clip = make_clip(tmp_path)
    elsewhere = replace(clip, video=tmp_path / "elsewhere.mp4")
    other = replace(clip, clip=replace(clip.clip, artifact="other"))
    crowded = ClipToMeasure(clip, FacesSeen(1.5, 2))
    keys = [stage.identity(alone(one)) for one in (clip, elsewhere, other)]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0] != stage.identity(crowded)
    assert stage.cache_params() == {
        "vad_threshold": 0.5,
        "text": "none",
        "recognizer": "none",
    }
    assert list(stage.weights()) == [
        "silero_vad_16k_sequence.onnx",
        "mouth_cover.safetensors",
        "dlib_face_recognition_resnet_model_v1.dat",
        "voice_identity.safetensors",
    ]


@pytest.mark.parametrize("num_frames", [1, 2, 3, 50])
def test_every_series_has_one_value_per_frame_of_three_digits(stage, tmp_path, num_frames):
    points = track(MESH468, num_frames, roll=12)
    clip = make_clip(tmp_path, recipe=Recipe(num_frames=num_frames, points=points))
    row = measure(stage, clip, tmp_path)
    for name in SERIES:
        values = getattr(row, name)
        assert len(values) == num_frames, name
        assert values == [float(f"{value:.3g}") for value in values], name
    assert row.roll_by_frame == pytest.approx([12] * num_frames, abs=0.5)


def test_a_head_that_tilts_clockwise_in_part_of_a_clip_has_that_roll_in_these_frames(
    stage, tmp_path
):
    points = track(MESH468, 50)
    points[20:30] = track(MESH468, 10, roll=60)
    points[40:] = track(MESH468, 10, roll=-35)
    row = measure(stage, make_clip(tmp_path, recipe=Recipe(points=points)), tmp_path)
    assert row.roll_by_frame == pytest.approx([0] * 20 + [60] * 10 + [0] * 10 + [-35] * 10, abs=1)


def test_a_picture_that_stands_in_part_of_a_clip_changes_little_in_these_frames(stage, tmp_path):
    luma = moving(50)
    luma[20:45] = luma[19]
    row = measure(stage, make_clip(tmp_path, recipe=Recipe(luma=luma)), tmp_path)
    standing = np.flatnonzero(np.array(row.change_by_frame) < 0.25)
    assert standing.tolist() == list(range(20, 45))


def test_text_is_null_where_it_was_not_looked_for(stage, tmp_path):
    row = measure(stage, make_clip(tmp_path), tmp_path)
    fields = ("overlay_share", "still_share", "crop_share", "on_mouth")
    assert [getattr(row, f"text_{name}") for name in fields] == [None] * 4


def test_text_without_the_recognizer_stops_with_key_and_fix(monkeypatch):
    find = importlib.util.find_spec
    absent = lambda name, *more: None if name == "rapidocr" else find(name, *more)  # noqa: E731
    monkeypatch.setattr("pipeline.quality.text_reader.find_spec", absent)
    with pytest.raises(ParamsError, match=r"quality\.text.*pip install 'lipforge\[labels\]'"):
        QualityStage(QualityParams(text="overlay"))


def test_faces_of_the_run_come_from_every_track_of_the_film(stage, tmp_path):
    item = ClipToMeasure(make_clip(tmp_path), FacesSeen(1.5, 3))
    (row,) = stage.process(item, tmp_path)
    assert (row.faces_seen_median, row.faces_seen_max) == (1.5, 3)
