from pathlib import Path

import numpy as np
import pytest

from pipeline.clip_files import ClipFiles
from pipeline.command import item_key
from pipeline.errors import MediaError
from pipeline.media.flac import write_flac
from pipeline.params import SyncParams
from pipeline.rows import Clip, SyncScore
from pipeline.stage import Reject
from stages.sync import Sync
from tests.pipeline.judge.talking import talking


def clip_files(
    folder: Path, frames: int = 100, lead: int = 0, schema: str = "mesh468"
) -> ClipFiles:
    landmarks, sound = talking(frames, lead)
    clip = Clip(
        clip_id="c1", video_id="v1", scene=0, track=0, start_frame=0, end_frame=frames,
        num_frames=frames, backend="litert", landmark_schema=schema, crop_px=256, face_px=200.0,
        landmark_score=0.9, interpolated_frames=0, num_faces_in_scene=1, artifact="key",
    )  # fmt: skip
    np.savez(folder / "c1.npz", landmarks=landmarks)
    write_flac(folder / "c1.flac", sound, 16000)
    return ClipFiles(clip=clip, video=None, landmarks=folder / "c1.npz", audio=folder / "c1.flac")


@pytest.fixture(scope="module")
def stage() -> Sync:
    stage = Sync(SyncParams())
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
