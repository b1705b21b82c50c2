"""`lipforge judge` from its arguments to its exit code, on real files."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from pipeline.cli import app
from pipeline.engine.command import item_key
from pipeline.engine.stage import Reject
from pipeline.errors import ParamsError, SourceError, WeightsError
from pipeline.judge.choice import Choice, choose
from pipeline.judge.command.run import list_videos, sync_params
from pipeline.judge.command.stage import NamedVideo, VideoJudge
from pipeline.judge.syncnet.crops import as_crop
from pipeline.judge.syncnet.judge import SyncNetJudge
from pipeline.judge.syncnet.network import SyncNet
from pipeline.media.audio import decode_audio
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from pipeline.params.curation import SyncParams
from pipeline.weights import files as weights
from tests.media import Sound, frame_times, textured_shot, write_video
from tests.pipeline.judge.syncnet.fake_syncnet import FakeSyncNet

data = pytest.importorskip("skimage.data", reason="pictures of the demo extra")


@pytest.fixture(scope="module", autouse=True)
def _face_networks() -> None:
    try:
        weights.fetch()
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of one face, then one second of another shot without any; noise for sound."""
    from tests.stages.test_faces import portrait_at

    frames = [portrait_at(120 + 0.5 * k, 120) for k in range(75)]
    frames += [np.full((240, 320, 3), 60, np.uint8)] * 25
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 4 * 16_000)).astype(np.float32)
    path = tmp_path_factory.mktemp("film") / "x.mp4"
    return write_video(path, frames, frame_times(25, 4), Sound(noise))


@pytest.fixture
def folder(workspace: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good film, a broken one, a silent one and a text; work without Ray."""
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    videos = workspace / "videos"
    (videos / "sub").mkdir(parents=True)
    shutil.copy(film, videos / "sub" / "good $1.mp4")
    (videos / "broken.mp4").write_bytes(b"no video at all")
    (videos / "notes.txt").write_text("what was said\n")
    (videos / "empty.txt").write_text("")
    write_video(videos / "silent.mp4", [np.zeros((48, 64, 3), np.uint8)] * 10, frame_times(25, 0.4))
    return videos


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["judge", *words], catch_exceptions=False)


def read(path: Path) -> dict[str, dict[str, Any]]:
    return {one["file"]: one for one in json.loads(path.read_text())["files"]}


def test_a_folder_is_judged_a_broken_file_is_recorded_and_the_exit_code_says_so(
    folder: Path,
) -> None:
    result = call("videos", "--json", "out.json", "--plot", "plots")
    assert result.exit_code == 1
    assert "5 files: 1 kept, 3 rejected, 1 failed, 0 quarantined; 1 faces judged" in result.output
    files = read(Path("out.json"))
    reasons = {
        name: one["not_judged"][0]["reason"] for name, one in files.items() if one["not_judged"]
    }
    assert reasons == {
        "videos/broken.mp4": "not_media",
        "videos/notes.txt": "not_media",
        "videos/empty.txt": "not_media",
        "videos/silent.mp4": "no_audio",
    }
    assert files["videos/broken.mp4"]["status"] == "failed"
    (face,) = files["videos/sub/good $1.mp4"]["faces"]
    assert (face["judge"], face["mode"], face["start_frame"]) == ("landmark", "masked", 0)
    assert abs(face["end_frame"] - 75) <= 1
    assert len(face["curve"]) == 31
    assert len(list(Path("plots").iterdir())) == 1


def test_a_second_run_takes_everything_from_the_item_cache_and_writes_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("videos", "--json", "out.json")
    first = Path("out.json").read_bytes()
    monkeypatch.setattr(VideoJudge, "process", None)  # would fail if it were called
    assert call("videos", "--json", "out.json").exit_code == 1
    assert Path("out.json").read_bytes() == first


def test_nothing_broken_is_exit_code_0(folder: Path) -> None:
    result = call("videos/sub/good $1.mp4")
    assert result.exit_code == 0
    assert "1 files: 1 kept" in result.output


def test_a_face_seen_too_shortly_is_counted_not_scored(folder: Path) -> None:
    result = call("videos/sub", "--min-seconds", "3.5")
    assert result.exit_code == 0
    assert "rejected: track_too_short 1" in result.output
    assert "0 faces judged" in result.output


def test_files_folders_and_patterns_are_named_as_the_user_does_and_each_once(
    folder: Path,
) -> None:
    good = "videos/sub/good $1.mp4"
    for arguments in ([good], ["videos/sub"], ["videos/**/good*.mp4"], ["./videos/sub/", good]):
        assert [one.name for one in list_videos(arguments)] == [good], arguments
    assert list_videos([good])[0].location == str(folder / "sub" / "good $1.mp4")
    (absolute,) = list_videos([str(folder / "sub")])
    assert absolute.name == str(folder / "sub" / "good $1.mp4")
    (remote,) = list_videos([f"file://{folder}/sub"])
    assert remote.name == remote.location


def test_a_file_is_judged_once_whatever_way_leads_to_it(folder: Path) -> None:
    good = "videos/sub/good $1.mp4"
    Path("link.mp4").symlink_to(good)
    Path("list.jsonl").write_text(json.dumps({"uri": f"./{good}"}))
    ways = [good, str(folder / "sub"), "videos/../videos/sub", "link.mp4", "list.jsonl"]
    ways.append(f"file://{folder}/sub")
    assert [one.name for one in list_videos(ways)] == [good]


def test_equal_names_of_two_lists_are_two_files_with_two_names(workspace: Path) -> None:
    for name in "ab":
        Path(name).mkdir()
        Path(name, "clip.avi").touch()
        Path(name, "list.jsonl").write_text('{"uri": "clip.avi"}')
    found = list_videos(["a/list.jsonl", "b/list.jsonl"])
    assert [(one.name, one.location) for one in found] == [
        (f"{name}/clip.avi", str(workspace / name / "clip.avi")) for name in "ab"
    ]


def test_a_name_in_another_spelling_is_no_other_file(workspace: Path) -> None:
    """A name that is no UTF-8 is shown in another spelling, which another file may really have."""
    odd = os.fsdecode(b"\xff.mp4")
    Path(odd).touch()
    (only,) = list_videos([odd])
    Path(only.name).touch()
    found = list_videos(["."])
    assert len({one.name for one in found}) == len({one.location for one in found}) == 2


def test_links_of_equal_names_are_numbered_and_show_no_signature(workspace: Path) -> None:
    found = list_videos([f"https://host/a.mp4?sig={secret}" for secret in "xy"])
    assert [one.name for one in found] == ["https://host/a.mp4", "https://host/a.mp4 (2)"]


@pytest.mark.parametrize(
    "option",
    [("--weights", "x"), ("--mode", "reference"), ("--mode", "masked"), ("--precision", "float32")],
)
def test_options_of_syncnet_s_are_refused_for_the_other_judge(
    folder: Path, option: tuple[str, str]
) -> None:
    for by in ([], ["--judge", "landmark"]):
        with pytest.raises(ParamsError, match=f"^{option[0]} .*add --judge syncnet, or leave"):
            call("videos", *option, *by)


def test_options_of_syncnet_s_reach_it_and_have_the_defaults_of_params() -> None:
    assert sync_params("syncnet", weights=None, mode=None, precision=None) == SyncParams(
        judge="syncnet"
    )
    assert sync_params("syncnet", weights="w", mode="masked", precision="bfloat16") == SyncParams(
        judge="syncnet",
        syncnet_weights="w",
        syncnet_mode="masked",
        syncnet_precision="bfloat16",
    )


def test_a_file_has_a_quarter_of_an_hour_to_half_a_day(workspace: Path) -> None:
    stage = VideoJudge(choose(SyncParams()), 2.0)
    deadlines = []
    for megabytes in (0, 1, 100, 100_000):
        with Path("x.mp4").open("wb") as sparse:
            sparse.truncate(megabytes * 1_000_000)
        deadlines.append(stage.deadline_s(NamedVideo("x", "x.mp4")))
    assert deadlines == [900, 900, 6000, 43_200]
    assert stage.deadline_s(NamedVideo("x", "https://a.host/x.mp4")) == 43_200


def test_an_argument_that_names_nothing_stops_before_any_work(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"^'videos/none\.mp4' does not exist"):
        list_videos(["videos", "videos/none.mp4"])


def test_syncnet_is_shown_the_crops_of_the_whole_track(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeSyncNet()
    monkeypatch.setattr(Choice, "load", lambda choice: fake)
    stage = VideoJudge(Choice("syncnet", "reference", "float32", "5a" * 32), 2.0)
    stage.setup()
    film = folder / "sub" / "good $1.mp4"
    (row,) = stage.process(NamedVideo("good", str(film)), tmp_path)
    assert (row.judge, row.mode, row.offset_frames) == ("syncnet", "reference", 2)
    assert len(fake.crops) == row.end_frame - row.start_frame
    assert {crop.shape for crop in fake.crops} == {(224, 224, 3)}
    assert fake.audio is not None
    assert len(fake.audio) == len(fake.crops) * 640
    assert not list(tmp_path.glob("scratch*"))


def test_a_cropped_video_is_shown_to_syncnet_as_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeSyncNet()
    monkeypatch.setattr(Choice, "load", lambda choice: fake)
    stage = VideoJudge(Choice("syncnet", "reference", "float32", "5a" * 32), 2.0, cropped=True)
    stage.setup()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 4 * 16_000)).astype(np.float32)
    shot = textured_shot(100, 1, (64, 64))
    film = write_video(Path("square.mp4"), shot, frame_times(25, 4), Sound(noise))
    (row,) = stage.process(NamedVideo("good", str(film)), tmp_path)
    assert (row.face, row.start_frame, row.end_frame) == (0, 0, 100)
    frames = list(frames_at_25fps(film))
    wanted = cv2.resize(frames[60][..., ::-1], (224, 224), interpolation=cv2.INTER_LINEAR)
    assert len(fake.crops) == 100
    assert np.array_equal(fake.crops[60], wanted)


def test_a_picture_that_is_not_square_is_no_crop(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeSyncNet()
    monkeypatch.setattr(Choice, "load", lambda choice: fake)
    stage = VideoJudge(Choice("syncnet", "reference", "float32", "5a" * 32), 2.0, cropped=True)
    stage.setup()
    film = folder / "sub" / "good $1.mp4"
    rejected = stage.process(NamedVideo("good", str(film)), tmp_path)
    assert isinstance(rejected, Reject)
    assert rejected.reason == "not_a_crop"
    assert "320 x 240 px" in rejected.detail
    assert fake.crops == []
    with pytest.raises(ParamsError, match="--judge syncnet"):
        call("videos", "--cropped")


def test_the_cache_key_follows_the_file_the_judge_and_the_shortest_track(folder: Path) -> None:
    film = folder / "sub" / "good $1.mp4"
    landmark = choose(SyncParams())
    syncnet = Choice("syncnet", "reference", "float32", "5a" * 32)
    item, other = NamedVideo("a.mp4", str(film)), NamedVideo("b.mp4", str(film))
    stages = [VideoJudge(landmark, 2.0), VideoJudge(landmark, 3.0), VideoJudge(syncnet, 2.0)]
    stages.append(VideoJudge(syncnet, 2.0, cropped=True))
    assert len({item_key(stage, item) for stage in stages}) == 4
    assert item_key(stages[0], item) == item_key(stages[0], other)
    before = item_key(stages[0], item)
    film.write_bytes(film.read_bytes() + b"x")
    assert item_key(stages[0], item) != before


def test_the_real_network_is_loaded_by_its_path_and_scores(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are random: a stand-in that shows that the parts fit, no judge of anything."""
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")
    torch.manual_seed(0)
    torch.save(SyncNet().state_dict(), "random.model")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 17_920)).astype(np.float32)
    shot = textured_shot(28, 1, (128, 128))
    film = write_video(Path("x.mp4"), shot, frame_times(25, 1.12), Sound(noise))
    result = call(
        *("x.mp4", "--judge", "syncnet", "--mode", "masked", "--weights", "random.model"),
        *("--cropped", "--min-seconds", "1", "--json", "out.json"),
    )
    assert result.exit_code == 0
    (face,) = read(Path("out.json"))["x.mp4"]["faces"]
    assert (face["judge"], face["mode"], face["end_frame"]) == ("syncnet", "masked", 28)
    sound = decode_audio(film, probe(film).video_start_s, 28 * 640)
    judge = SyncNetJudge.load(Path("random.model"))
    wanted = judge.score(map(as_crop, frames_at_25fps(film)), sound, mode="masked")
    assert face["curve"] == wanted.curve.tolist()


@pytest.mark.slow
def test_the_example_of_syncnet_is_three_frames_early_on_ray(
    workspace: Path, shared: Path, ray_cluster: None
) -> None:
    broken = workspace / "broken.mp4"
    broken.write_bytes(b"no video at all")
    result = call(str(shared / "clips" / "syncnet_example.avi"), "broken.mp4", "--json", "out.json")
    assert result.exit_code == 1
    assert "2 files: 1 kept, 0 rejected, 1 failed" in result.output
    example, _ = json.loads(Path("out.json").read_text())["files"]
    assert [face["offset_frames"] for face in example["faces"]] == [3]
