from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.cache import LocalCache
from pipeline.engine.command import item_key
from pipeline.engine.manifest import write_table
from pipeline.engine.outcome import Outcome, Part
from pipeline.engine.stage import Reject
from pipeline.errors import DecodeError, MediaError
from pipeline.judge.choice import NOT_FETCHED, Choice, choose
from pipeline.judge.syncnet.crops import detector_boxes, render_crops
from pipeline.media.flac import write_flac
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from pipeline.params.curation import SyncParams
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import Clip, SyncScore, Video
from pipeline.tables.run_tables import RunTables, table_path
from stages.sync import ClipToJudge, Sync, clips_to_judge
from tests.media import frame_times, textured_shot, write_video
from tests.pipeline.judge.syncnet.fake_syncnet import FakeSyncNet
from tests.pipeline.judge.talking import talking

BOX = (40.0, 30.0, 100.0, 100.0)


def clip_files(
    folder: Path, frames: int = 100, lead: int = 0, schema: str = "mesh468", start: int = 0
) -> ClipToJudge:
    landmarks, sound = talking(frames, lead)
    clip = Clip(
        clip_id="c1", video_id="v1", scene=0, track=0, start_frame=start, end_frame=start + frames,
        num_frames=frames, backend="litert", landmark_schema=schema, crop_px=256, face_px=200.0,
        landmark_score=0.9, interpolated_frames=0, num_faces_in_scene=1, artifact="key",
    )  # fmt: skip
    boxes = np.tile(np.array(BOX, np.float32), (frames, 1))
    np.savez(folder / "c1.npz", landmarks=landmarks, boxes=boxes)
    write_flac(folder / "c1.flac", sound, 16000)
    files = ClipFiles(clip=clip, video=None, landmarks=folder / "c1.npz", audio=folder / "c1.flac")
    return ClipToJudge(files)


@pytest.fixture(scope="module")
def stage() -> Sync:
    stage = Sync(choose(SyncParams()))
    stage.setup()
    return stage


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_clip_becomes_one_row_and_one_file_of_distances(
    stage: Sync, tmp_path: Path, workdir: Path
) -> None:
    rows = stage.process(clip_files(tmp_path), workdir)
    assert isinstance(rows, list)
    (row,) = rows
    assert isinstance(row, SyncScore)
    assert (row.clip_id, row.judge, len(row.curve)) == ("c1", "landmark", 31)
    assert (row.mode, row.fallback) == ("masked", "")
    assert row.min_distance == min(row.curve)
    assert row.offset_frames == int(np.argmin(row.curve)) - 15
    with np.load(workdir / "c1.npz") as stored:
        assert stored["distances"].shape == (90, 31)
    assert [path.name for path in workdir.iterdir()] == ["c1.npz"]


def test_the_row_follows_the_sound(stage: Sync, tmp_path: Path, workdir: Path) -> None:
    offsets = []
    for lead in (0, 6, -6):
        rows = stage.process(clip_files(tmp_path, 150, lead), workdir)
        assert isinstance(rows, list)
        offsets.append(rows[0].offset_frames)
    assert abs(offsets[1] - offsets[0] - 6) <= 1
    assert abs(offsets[2] - offsets[0] + 6) <= 1


def test_the_same_clip_gives_the_same_bytes(stage: Sync, tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stage.process(clip_files(tmp_path), tmp_path / name)
        files.append((tmp_path / name / "c1.npz").read_bytes())
    assert files[0] == files[1]


def test_unknown_landmarks_are_rejected_not_failed(
    stage: Sync, tmp_path: Path, workdir: Path
) -> None:
    result = stage.process(clip_files(tmp_path, schema="dlib68"), workdir)
    assert isinstance(result, Reject)
    assert result.reason == "judge_cannot_read_landmarks"
    assert not list(workdir.iterdir())


@pytest.mark.parametrize("suffix", [".npz", ".flac"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_an_unusable_file_fails_the_clip_alone(
    stage: Sync, tmp_path: Path, workdir: Path, suffix: str, damage: str
) -> None:
    files = clip_files(tmp_path)
    path = tmp_path / f"c1{suffix}"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(MediaError):
        stage.process(files, workdir)


def test_the_cache_key_names_content_and_weights_but_no_path(stage: Sync, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    assert item_key(stage, clip_files(one)) == item_key(stage, clip_files(two))
    assert "landmark_judge.safetensors" in stage.weights()


SYNCNET = Choice("syncnet", "reference", "float32", "5a" * 32, path="/somewhere/syncnet_v2.model")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Video]:
    path = tmp_path_factory.mktemp("film") / "x.mp4"
    options = {"crf": "20", "preset": "veryfast", "g": "10"}
    write_video(path, textured_shot(80, seed=2), frame_times(25, 3.2), options=options)
    facts = probe(path)
    return path, Video(
        video_id="v1", uri="x.mp4", size_bytes=1, num_frames=facts.num_frames,
        video_start_s=facts.video_start_s, width=facts.width, height=facts.height,
        duration_s=facts.duration_s,
    )  # fmt: skip


def syncnet_stage(monkeypatch: pytest.MonkeyPatch) -> tuple[Sync, FakeSyncNet]:
    fake = FakeSyncNet()
    monkeypatch.setattr(Choice, "load", lambda choice: fake)
    stage = Sync(SYNCNET)
    stage.setup()
    return stage, fake


def test_syncnet_sees_its_own_crop_of_the_clip_s_stretch_and_the_clip_s_sound(
    monkeypatch: pytest.MonkeyPatch, film: tuple[Path, Video], tmp_path: Path, workdir: Path
) -> None:
    stage, fake = syncnet_stage(monkeypatch)
    path, video = film
    item = replace(clip_files(tmp_path, 30, start=23), video=video, location=str(path))
    rows = stage.process(item, workdir)
    assert isinstance(rows, list)
    assert isinstance(rows[0], SyncScore)
    assert (rows[0].judge, rows[0].mode, rows[0].fallback) == ("syncnet", "reference", "")
    stretch = list(frames_at_25fps(path))[23:53]
    boxes = detector_boxes(np.tile(BOX, (30, 1)), "mesh468")
    assert np.array_equal(np.stack(fake.crops), np.stack(list(render_crops(stretch, boxes))))
    assert fake.audio is not None
    assert fake.audio.dtype == np.int16
    assert np.array_equal(fake.audio, talking(30)[1])
    assert [one.name for one in workdir.iterdir()] == ["c1.npz"]


def test_syncnet_fails_a_clip_whose_video_is_gone_or_shorter(
    monkeypatch: pytest.MonkeyPatch, film: tuple[Path, Video], tmp_path: Path, workdir: Path
) -> None:
    stage, _ = syncnet_stage(monkeypatch)
    path, video = film
    item = replace(clip_files(tmp_path, 30), video=video, location=str(tmp_path / "gone.mp4"))
    with pytest.raises(MediaError):
        stage.process(item, workdir)
    few = replace(clip_files(tmp_path, 4), video=video, location=str(path))
    with pytest.raises(DecodeError, match="cannot be judged"):
        stage.process(few, workdir)


def test_the_identity_says_which_judge_scored_with_which_weights_and_no_path(
    tmp_path: Path,
) -> None:
    item = clip_files(tmp_path)
    landmark = choose(SyncParams())
    choices = [
        landmark,
        replace(landmark, fallback=NOT_FETCHED),
        SYNCNET,
        replace(SYNCNET, mode="masked"),
        replace(SYNCNET, precision="bfloat16"),
        replace(SYNCNET, sha256="6b" * 32),
    ]
    keys = [item_key(Sync(choice), item) for choice in choices]
    assert len(set(keys)) == len(keys)
    assert item_key(Sync(replace(SYNCNET, path="/elsewhere")), item) == keys[2]
    text = repr([Sync(SYNCNET).cache_params(), Sync(SYNCNET).weights()])
    assert "/somewhere" not in text


def test_a_fallback_stands_in_every_row(tmp_path: Path, workdir: Path) -> None:
    stage = Sync(replace(choose(SyncParams()), fallback=NOT_FETCHED))
    stage.setup()
    rows = stage.process(clip_files(tmp_path), workdir)
    assert isinstance(rows, list)
    assert isinstance(rows[0], SyncScore)
    assert (rows[0].judge, rows[0].fallback) == ("landmark", NOT_FETCHED)


def test_only_syncnet_is_told_where_the_videos_are(
    film: tuple[Path, Video], tmp_path: Path
) -> None:
    path, video = film
    clip = clip_files(tmp_path).files.clip
    for stage, one in (("ingest", video), ("faces", clip)):
        row = {name: getattr(one, name) for name in one.__slots__}
        part = Part("kept", row=row)
        outcome = Outcome("x", "kept", (part,), "key")
        write_table(table_path(tmp_path / "data", stage), [outcome], type(one))
    cache = LocalCache(tmp_path / "cache")
    (plain,) = clips_to_judge(choose(SyncParams()), RunTables(tmp_path / "data"), cache, "nowhere")
    assert (plain.video, plain.location, plain.files.video) == (None, "", None)
    (told,) = clips_to_judge(SYNCNET, RunTables(tmp_path / "data"), cache, str(path.parent))
    assert told.location == str(path)
    assert told.video is not None
    assert told.video.num_frames == 80
