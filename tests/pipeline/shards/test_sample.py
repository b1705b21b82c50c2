import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import read_arrays, read_audio_int16
from pipeline.media.encode import read_video, write_clip
from pipeline.media.flac import write_flac
from pipeline.shards.labels import LABELS, ClipSeries
from pipeline.shards.sample import ReadBack, Rescored, SelectedClip, sample_facts, write_sample
from pipeline.shards.tar import MEMBERS
from pipeline.shards.training_sample import decode_sample
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import SAMPLES_PER_FRAME
from tests.pipeline.selection.test_rules import candidate, selected_row

FRAMES = 30
SCORE = Rescored(
    judge="landmark",
    mode="masked",
    offset_frames=1,
    offset_subframe=0.7,
    confidence=0.4,
    min_distance=0.9,
    probability=0.8,
    wrong_frames=2,
    sync_by_frame=np.full(FRAMES, 0.5),
)


def item(folder: Path, offset: int, **missing: int) -> SelectedClip:
    """A selected clip whose three files number their frames; `missing` frames by member."""
    base = candidate("c", offset_frames=offset)
    assert base.sync is not None
    assert base.quality is not None
    files = {suffix: folder / f"source.{suffix}" for suffix in ("mp4", "flac", "npz")}
    count = {name: FRAMES - missing.get(name, 0) for name in ("flac", "npz")}
    greys = [np.full((32, 32, 3), 8 * number, np.uint8) for number in range(FRAMES)]
    write_clip(files["mp4"], greys, crf=1)
    samples = np.repeat(np.arange(count["flac"], dtype=np.int16), SAMPLES_PER_FRAME)
    write_flac(files["flac"], samples, 16_000)
    numbers = np.arange(count["npz"], dtype=np.float32)
    np.savez(
        files["npz"],
        landmarks=np.tile(numbers[:, None, None], (1, 4, 3)),
        matrices=np.tile(np.eye(2, 3), (len(numbers), 1, 1)),
        scores=numbers,
    )
    clip = replace(base.clip, num_frames=FRAMES, end_frame=FRAMES, artifact="key of this machine")
    row = selected_row(FRAMES, offset, split="val")
    paths = ClipFiles(clip=clip, video=files["mp4"], landmarks=files["npz"], audio=files["flac"])
    ramp = np.arange(FRAMES, dtype=np.float32) / 100
    series = ClipSeries(speech=ramp, cover=ramp, change=ramp)
    return SelectedClip(row, base.video, clip, base.sync, base.quality, series, paths)


def written(folder: Path, one: SelectedClip) -> tuple[list[ReadBack], dict[str, Any]]:
    """Write the sample; return what was given to the judge, and the JSON."""
    out = folder / "out"
    out.mkdir()
    read_back: list[ReadBack] = []

    def rescore(sample: ReadBack) -> Rescored:
        read_back.append(sample)
        return replace(SCORE, sync_by_frame=np.full(len(sample.landmarks), 0.5))

    result = write_sample(one, out, rescore)
    facts: dict[str, Any] = json.loads((out / "c.json").read_text(encoding="utf-8"))
    assert result.rescored.facts() == SCORE.facts()
    assert result.interval.num_frames == facts["num_frames"]
    return read_back, facts


@pytest.mark.parametrize(
    ("offset", "first_video", "first_audio"), [(0, 0, 0), (3, 3, 0), (-4, 0, 4)]
)
def test_all_streams_are_trimmed_to_the_frames_they_share(
    tmp_path: Path, offset: int, first_video: int, first_audio: int
) -> None:
    written(tmp_path, item(tmp_path, offset))
    count = FRAMES - abs(offset)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["c.flac", "c.json", "c.mp4", "c.npz"]
    audio = read_audio_int16(out / "c.flac")
    assert audio[::SAMPLES_PER_FRAME].tolist() == list(range(first_audio, first_audio + count))
    arrays = read_arrays(out / "c.npz")
    assert list(arrays) == sorted(["landmarks", "matrices", "scores", *LABELS])
    for name in ("scores", "landmarks"):
        numbers = arrays[name].reshape(count, -1)[:, 0]
        assert numbers.tolist() == list(range(first_video, first_video + count))
    source = read_video(tmp_path / "source.mp4")
    assert np.array_equal(read_video(out / "c.mp4"), source[first_video : first_video + count])


def test_the_judge_is_given_the_streams_as_training_reads_them(tmp_path: Path) -> None:
    (sample,), _ = written(tmp_path, item(tmp_path, 3))
    out = tmp_path / "out"
    members = {suffix: (out / f"c.{suffix}").read_bytes() for suffix in MEMBERS}
    trained = decode_sample({"__key__": "c", **members})
    assert np.array_equal(sample.audio, trained.audio)
    assert np.array_equal(sample.landmarks, trained.landmarks)
    assert np.array_equal(sample.audio * 32768, read_audio_int16(out / "c.flac"))
    assert np.array_equal(sample.landmarks, read_arrays(out / "c.npz")["landmarks"])


def test_the_json_holds_every_row_and_the_second_score_without_its_probability(
    tmp_path: Path,
) -> None:
    one = item(tmp_path, -4)
    _, facts = written(tmp_path, one)
    assert facts["rescored"] == {
        "judge": "landmark",
        "mode": "masked",
        "offset_frames": 1,
        "offset_subframe": 0.7,
        "confidence": 0.4,
        "min_distance": 0.9,
        "wrong_frames": 2,
    }
    assert (facts["num_frames"], facts["offset_applied_frames"]) == (FRAMES - 4, -4)
    assert (facts["split"], facts["group"], facts["fps"]) == ("val", "g", 25)
    assert facts["video"] == asdict(one.video)
    left_out = ("_by_frame", "_embedding", "jump_cuts")
    whole = {k: v for k, v in asdict(one.quality).items() if not k.endswith(left_out)}
    assert facts["quality"] == whole
    assert {**facts["clip"], "artifact": one.clip.artifact} == asdict(one.clip)
    assert {**facts["sync"], "artifact": one.sync.artifact} == asdict(one.sync)


@pytest.mark.parametrize(("offset", "inside"), [(0, [1, 3, 29]), (3, [26]), (-4, [1, 3])])
def test_jump_cuts_are_counted_from_the_first_frame_of_the_sample(
    tmp_path: Path, offset: int, inside: list[int]
) -> None:
    one = item(tmp_path, offset)
    one = replace(one, quality=replace(one.quality, jump_cuts=[0, 1, 3, 29]))
    assert sample_facts(one)["jump_cuts"] == inside


def test_cache_keys_are_no_facts_of_a_sample(tmp_path: Path) -> None:
    assert "key of this machine" not in repr(sample_facts(item(tmp_path, 0)))


@pytest.mark.parametrize("member", ["flac", "npz"])
def test_a_member_that_is_shorter_than_the_clip_is_a_decode_error(
    tmp_path: Path, member: str
) -> None:
    with pytest.raises(DecodeError, match="c: 30 frames"):
        written(tmp_path, item(tmp_path, 0, **{member: 2}))
