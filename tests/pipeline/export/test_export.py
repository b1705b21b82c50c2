"""Each layout by the rules of its reader, which are stated in the tests."""

import json
import signal
import subprocess
import sys
import tarfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
import yaml

from pipeline.export.contents import list_clips, list_shards, read_samples
from pipeline.export.errors import ExportError
from pipeline.export.formats.file_lists import LatentSync
from pipeline.export.landmarks68 import CONVERSIONS, in_crop, to_ibug68
from pipeline.export.run import ExportReport, export_shards
from pipeline.faces.schemas import SCHEMAS
from pipeline.media.clip_reader import read_audio_int16
from tests.conftest import ROOT
from tests.pipeline.export.made_shards import CLIPS, make_shards

FORMATS = ("wav2lip", "latentsync", "keysync", "hallo", "folders", "huggingface", "energon", "mds")
LENGTHS = {clip_id: count for clips in CLIPS.values() for clip_id, count in clips.items()}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("made"))


def exported(name: str, out: Path, shards: Path, said: list[str] | None = None) -> ExportReport:
    return export_shards(name, out, str(shards), (), (said if said is not None else []).append)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_wav2lip_has_pictures_without_a_gap_and_a_line_for_each_clip(tmp_path, shards):
    exported("wav2lip", tmp_path / "out", shards)
    lines = (tmp_path / "out/filelists/train.txt").read_text().split()
    assert lines == ["train/aaaa", "train/bbbb"]
    assert (tmp_path / "out/filelists/test.txt").read_text() == ""
    names = {path.name for path in (tmp_path / "out/train/bbbb").glob("*.jpg")}
    assert names == {f"{number}.jpg" for number in range(20)}
    shapes = {cv2.imread(str(p)).shape for p in (tmp_path / "out/train/bbbb").glob("*.jpg")}
    assert len(shapes) == 1
    sound, rate = soundfile.read(tmp_path / "out/train/bbbb/audio.wav", dtype="int16")
    assert (len(sound), rate) == (20 * 640, 16000)


def test_the_mp4_has_every_frame_and_exactly_the_sound_of_the_shard(tmp_path, shards):
    report = exported("latentsync", tmp_path / "out", shards)
    assert [one.reason for one in report.left_out] == ["too_short: 20 frames, needs 48"]
    (line,) = (tmp_path / "out/train.txt").read_text().splitlines()
    assert Path(line).is_absolute()
    (sample,) = read_samples(list_shards(str(shards), ["train"]), {"aaaa"})
    with av.open(line) as film:
        assert [f.pts * f.time_base for f in film.decode(video=0)] == [
            Fraction(k, 25) for k in range(48)
        ]
    with av.open(line) as film:
        sound = np.concatenate([f.to_ndarray().ravel() for f in film.decode(audio=0)])
    assert np.array_equal(sound, read_audio_int16(sample.members["flac"]))


def test_musetalk_skips_a_header_line_and_needs_a_box_and_68_points_a_frame(
    tmp_path, shards, monkeypatch
):
    monkeypatch.setattr("pipeline.export.formats.musetalk.MIN_FACE_PX", 30)
    exported("musetalk", tmp_path / "out", shards)
    root = tmp_path / "out/dataset/HDTF"
    assert (root / "train.txt").read_text().splitlines()[1:] == ["aaaa.json", "bbbb.json"]
    meta = json.loads((root / "meta/aaaa.json").read_text())
    assert np.array(meta["landmark_list"]).shape == (48, 68, 2)
    assert np.array(meta["face_list"]).shape == (48, 4)
    assert meta["frames"] == 48
    assert "converted from mesh468" in meta["landmarks"]
    assert (tmp_path / "out" / meta["mp4_path"]).is_file()
    assert (tmp_path / "out" / meta["wav_path"]).is_file()


def test_a_narrow_face_is_left_out_of_musetalk_with_its_reason(tmp_path, shards):
    report = exported("musetalk", tmp_path / "out", shards)
    assert report.reasons() == {"face_narrow": 3}


def test_where_no_clip_is_long_enough_the_key_is_named_and_nothing_written(tmp_path, shards):
    said: list[str] = []
    with pytest.raises(ExportError, match="170 frames"):
        exported("keysync", tmp_path / "out", shards, said)
    assert "faces.max_seconds" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_keysync_finds_its_folders_by_replacing_a_part_of_the_path(tmp_path, shards, monkeypatch):
    monkeypatch.setattr("pipeline.export.formats.file_lists.KeySync.min_frames", 48)
    exported("keysync", tmp_path / "out", shards)
    (line,) = (tmp_path / "out/train.txt").read_text().splitlines()
    points = np.load(line.replace("video_crop", "landmarks_crop").replace(".mp4", ".npy"))
    assert points.shape == (48, 68, 2)
    assert Path(line.replace("video_crop", "audio").replace(".mp4", ".wav")).is_file()


def test_hallo_masks_are_one_file_per_clip_and_split_the_picture(tmp_path, shards):
    exported("hallo", tmp_path / "out", shards)
    rows = json.loads((tmp_path / "out/data/lipforge_stage2.json").read_text())
    keys = ("sep_mask_border", "sep_mask_face", "sep_mask_lip")
    masks = [cv2.imread(rows[0][key], cv2.IMREAD_GRAYSCALE).astype(int) for key in keys]
    assert (sum(masks) == 255).all()
    listed = json.loads((tmp_path / "out/data/echomimic.json").read_text())
    assert [Path(row["video_path"]).stem for row in listed] == ["aaaa", "bbbb", "cccc"]


def test_every_json_of_the_hugging_face_tars_has_the_same_keys_and_types(tmp_path, shards):
    """`datasets` takes the schema from the first five samples."""
    exported("huggingface", tmp_path / "out", shards)
    schemas = set()
    for path in (tmp_path / "out/webdataset").rglob("*.tar"):
        with tarfile.open(path) as tar:
            for name in tar.getnames():
                if name.endswith(".json"):
                    row = json.load(tar.extractfile(name))
                    schemas.add(tuple((key, type(value)) for key, value in row.items()))
    assert len(schemas) == 1
    assert all(kind in (str, int, float) for _, kind in schemas.pop())
    lines = (tmp_path / "out/videofolder/train/metadata.jsonl").read_text().splitlines()
    names = [json.loads(line)["file_name"] for line in lines]
    assert names == ["aaaa.mp4", "bbbb.mp4"]
    assert (tmp_path / "out/README.md").read_text().startswith("---\n")


def test_energon_finds_every_member_at_the_offsets_of_its_index(tmp_path, shards):
    import sqlite3
    from contextlib import closing

    exported("energon", tmp_path / "out", shards)
    tar = tmp_path / "out/train/train-0000-000.tar"
    query = "SELECT content_byte_offset, content_byte_size FROM sample_parts p JOIN samples s USING"
    query += " (tar_file_id, sample_index) WHERE sample_key = 'bbbb' AND part_name = 'json'"
    with closing(sqlite3.connect(tmp_path / "out/.nv-meta/index.sqlite")) as database:
        ((offset, size),) = database.execute(query).fetchall()
    assert json.loads(tar.read_bytes()[offset : offset + size])["clip_id"] == "bbbb"
    offsets = np.frombuffer((tar.parent / f"{tar.name}.idx").read_bytes(), "<u8")
    assert len(offsets) == 3
    assert tar.read_bytes()[int(offsets[1]) :].startswith(b"bbbb.flac")


def test_what_the_shards_exclude_is_left_out_and_named(tmp_path):
    shards = make_shards(tmp_path / "made")
    (shards / "exclude.json").write_text('{"version": 1, "samples": ["bbbb"], "sources": []}')
    report = exported("folders", tmp_path / "folders", shards)
    assert [(one.clip_id, one.reason.partition(":")[0]) for one in report.left_out] == [
        ("bbbb", "excluded")
    ]
    assert not [name for name in contents(tmp_path / "folders") if "bbbb" in name]
    exported("energon", tmp_path / "energon", shards)
    split = yaml.safe_load((tmp_path / "energon/.nv-meta/split.yaml").read_text())
    assert split["exclude"] == ["train/train-0000-000.tar/bbbb"]  # as its reader compares


def test_an_mds_shard_is_read_by_its_offsets(tmp_path, shards):
    """n, n + 1 offsets, configuration; a sample: a size per column, then the columns."""
    exported("mds", tmp_path / "out", shards)
    index = json.loads((tmp_path / "out/train/index.json").read_text())
    (shard,) = index["shards"]
    content = (tmp_path / "out/train" / shard["raw_data"]["basename"]).read_bytes()
    assert len(content) == shard["raw_data"]["bytes"]
    count, *offsets = np.frombuffer(content, "<u4", 4)
    assert count == shard["samples"] == 2
    sample = content[offsets[1] : offsets[2]]
    sizes = np.frombuffer(sample, "<u4", 5)
    assert sample[20 : 20 + sizes[0]] == b"bbbb"
    assert len(sample) == 20 + sizes.sum()


@pytest.mark.parametrize("name", [one for one in FORMATS if one != "keysync"])
def test_a_second_export_has_the_same_bytes_and_every_clip_is_accounted_for(name, tmp_path, shards):
    report = exported(name, tmp_path / "out", shards)
    assert report.exported + len(report.left_out) == report.clips == 3
    first = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "before")
    exported(name, tmp_path / "out", shards)
    assert contents(tmp_path / "out") == first


def test_a_folder_that_is_not_empty_is_refused(tmp_path, shards):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ExportError, match="not empty"):
        exported("mds", tmp_path, shards)


def test_an_export_that_ends_early_leaves_no_folder(tmp_path, shards, monkeypatch):
    def fails(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(LatentSync, "add", fails)
    with pytest.raises(KeyboardInterrupt):
        exported("latentsync", tmp_path / "out", shards)
    assert list(tmp_path.iterdir()) == []


def test_a_tar_that_is_not_the_one_of_the_index_is_named(tmp_path):
    shards = make_shards(tmp_path, {"train": {"aaaa": 20}})
    with (shards / "train/train-0000-000.tar").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ExportError, match=r"train-0000-000.tar: not the tar"):
        list_clips(list_shards(str(shards)))


def test_the_68_points_lie_on_the_lips_and_eyes_of_the_schema_they_come_from():
    for name, table in CONVERSIONS.items():
        schema = SCHEMAS[name]
        assert len(set(table)) == 68
        assert (table[48], table[54]) == schema.mouth_corners
        assert (table[36], table[39]) == schema.left_eye_corners
        assert (table[42], table[45]) == schema.right_eye_corners
        assert (table[62], table[66]) == schema.lip_pairs[0]
        assert table[8] == schema.chin
        assert set(table[48:60]) <= set(schema.outer_lip.points)
        assert set(table[60:]) <= set(schema.inner_lip.points)


def test_points_are_carried_into_the_crop_by_the_matrix():
    points = to_ibug68(np.full((1, 468, 3), 10, np.float32), "mesh468")
    moved = in_crop(points, np.array([[[2.0, 0, 1], [0, 3, 2]]]))
    assert moved.shape == (1, 68, 2)
    assert moved[0, 0].tolist() == [21, 32]


def test_shards_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ExportError, match=r"nowhere/index.json: .*--shards"):
        list_shards(str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_killed_export_leaves_no_folder_and_the_next_one_is_as_if_it_had_not_been(
    tmp_path, shards
):
    command = [sys.executable, "-m", "pipeline", "export", "wav2lip", str(tmp_path / "out")]
    command += ["--shards", str(shards)]
    killed = subprocess.Popen(command, cwd=ROOT)
    while killed.poll() is None and not any((tmp_path / "out.part").rglob("*.jpg")):
        time.sleep(0.002)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["out.part"]
    exported("wav2lip", tmp_path / "out", shards)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    exported("wav2lip", tmp_path / "again", shards)
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
