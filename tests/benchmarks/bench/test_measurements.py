"""What the measurements count, on inputs with known answers."""

import json
import sys
import time

import av
import numpy as np
import pytest

from benchmarks.bench import syncnet
from benchmarks.bench.child import ChildFailedError, environment, run_child
from benchmarks.bench.empty_items import drive, filled
from benchmarks.bench.gpu import boxes_agree, interleaved
from benchmarks.bench.inputs import clip_files, film_with_gap, joined_film, looped_film, pictures
from benchmarks.bench.item_seconds import concrete_stages, timed
from benchmarks.bench.line import HD
from benchmarks.bench.line import filled as line_row
from benchmarks.bench.memory import at_an_hour, is_flat, thinned
from benchmarks.bench.overhead import inside_s, shortest_s
from benchmarks.bench.rows import Options
from benchmarks.curation import LineCost, Spent, decode_cpu_s, line_stages
from benchmarks.judge import Comparison, Cost
from stages.faces import Faces
from stages.quality import QualityStage
from tests.media import Sound, write_video

SILENCE = np.zeros((1, 6400), np.float32)


def run(folder, code):
    return run_child([sys.executable, "-c", code], folder, environment())


def test_the_cost_of_a_child_is_its_own_cpu_and_memory(tmp_path):
    idle = run(tmp_path, "import time; time.sleep(0.3)")
    busy = run(tmp_path, "import time\nwhile time.process_time() < 0.5: pass")
    large = run(tmp_path, "x = bytearray(b'x') * 300_000_000")
    assert idle.wall_s >= 0.3
    assert idle.cpu_s < busy.cpu_s
    assert busy.cpu_s >= 0.5
    assert large.peak_mb > 300 > idle.peak_mb


def test_a_child_that_fails_says_its_last_words(tmp_path):
    with pytest.raises(ChildFailedError, match=r"(?s)ended with 1: .*ValueError: the reason"):
        run(tmp_path, "raise ValueError('the reason')")


def test_the_line_has_every_stage_of_dvc_repro_report():
    assert line_stages() == [
        "ingest",
        "scenes",
        "faces",
        "sync",
        "stretches",
        "quality",
        "select",
        "shards",
        "report",
    ]


def cost(line_s, decode_s, shards="a"):
    stages = {"faces": Spent(1, line_s - 1, 1), "report": Spent(1, 1, 1)}
    return LineCost(stages, 0.5, decode_s, 2, 10.0, 3, shards)


def test_the_line_is_given_in_units_of_the_decode_and_the_median_counts():
    row = line_row(HD.rows[0], [cost(20, 2), cost(30, 2), cost(90, 2)])
    assert (row.value, row.runs, row.held) == (15, 3, True)
    assert "faces 14.50, report 0.50" in row.note


def test_runs_whose_shards_differ_break_the_check_and_one_run_proves_nothing():
    assert line_row(HD.rows[0], [cost(20, 2), cost(20, 2, "b")]).held is False
    assert line_row(HD.rows[0], [cost(20, 2)]).held is None


@pytest.mark.parametrize(
    ("items", "seconds"), [([6, 1, 1], 6), ([3, 3, 3], 4.5), ([5], 5), ([], 0)]
)
def test_two_workers_cannot_be_faster_than_the_longest_item_or_half_of_all(items, seconds):
    assert shortest_s(items, 2) == seconds


def test_time_inside_the_stages_is_that_from_start_to_end():
    events = [
        ("faces", "start", 10.0),
        ("faces", "item", 12.0),
        ("faces", "end", 14.0),
        ("sync", "start", 20.0),
        ("sync", "stopped", 21.5),
    ]
    lines = [json.dumps({"stage": s, "event": e, "time_s": t}) for s, e, t in events]
    assert inside_s(lines) == 5.5


def test_every_call_of_process_is_timed_in_cpu_seconds_and_its_answer_kept():
    seconds = []

    def process(item):
        if item == "broken":
            raise ValueError(item)
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        return [item]

    counted = timed(process, seconds)
    assert counted("a") == ["a"]
    with pytest.raises(ValueError, match="broken"):
        counted("broken")
    assert len(seconds) == 2
    assert seconds[0] >= 0.05 > seconds[1]


def test_stages_are_found_also_below_other_stages():
    assert {Faces, QualityStage} <= set(concrete_stages())


def test_empty_items_all_come_back_from_two_workers(ray_cluster):
    found = drive(40)
    assert (found["kept"], found["items"]) == (40, 40)
    assert list(found["memory_mb"]) == ["10%", "50%", "100%"]
    each, memory = filled(found)
    assert each.value == pytest.approx(1000 * found["seconds"] / 39)
    assert each.held
    assert memory.value == pytest.approx(found["memory_mb"]["100%"] / found["memory_mb"]["10%"])
    assert filled({**found, "kept": 39})[0].held is False


@pytest.mark.parametrize(
    ("short", "long", "peak"),
    [
        ((150, 400), (600, 490), 490 + 3000 * 0.2),
        ((150, 400), (600, 400), 400),
        ((150, 450), (600, 400), 400),
        ((900, 400), (3600, 490), 490),
    ],
)
def test_the_peak_of_an_hour_lies_on_the_line_through_two_lengths(short, long, peak):
    assert at_an_hour(short, long) == pytest.approx(peak)


def test_a_curve_is_flat_when_its_second_half_stays_near_the_first():
    assert is_flat([100, 300, 310, 300])
    assert not is_flat([100, 200, 300, 400])
    assert not is_flat([100])
    assert thinned([1, 5, 2, 2, 9, 3], 3) == (5, 2, 9)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    shown = [np.full((48, 64, 3), 40 + 5 * n, np.uint8) for n in range(10)]
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    times = [n / 25 for n in range(10)]
    return write_video(path, shown, times, Sound(SILENCE))


def decoded(path):
    with av.open(str(path)) as container:
        video = [frame.time for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound_s = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return video, sound_s


def test_a_looped_film_shows_the_clip_again_and_again_at_an_even_pace(clip, tmp_path):
    shown, sound_s = decoded(looped_film(clip, tmp_path / "loop.mp4", 4.0))
    turns = round(len(shown) / 10)
    assert len(shown) == 10 * turns
    assert turns >= 8
    assert np.diff(shown).min() > 0
    assert shown[-1] == pytest.approx(4.0, abs=0.5)
    assert sound_s >= shown[-1]  # the last packet of each turn is a little longer than its sound


def test_a_joined_film_has_the_asked_length_and_sound_as_long(clip, tmp_path):
    shown, sound_s = decoded(joined_film([clip, clip], tmp_path / "film.mp4", 1.4))
    assert len(shown) == 35
    assert sound_s == pytest.approx(1.4, abs=0.1)


def test_in_the_4k_film_one_place_is_covered_for_one_second(tmp_path):
    board = np.kron(np.indices((6, 8)).sum(0) % 2, np.ones((8, 8)))
    shown = [np.repeat((255 * board)[..., None], 3, 2).astype(np.uint8)] * 25
    clip = write_video(tmp_path / "clip.mp4", shown, [n / 25 for n in range(25)], Sound(SILENCE))
    found = list(pictures(film_with_gap(clip, tmp_path / "gap.mp4", (16, 16, 48, 40), 2.4)))
    assert len(found) == 60
    assert found[0].shape == (2160, 3840, 3)
    inside = [float(one[1000:1600, 1300:2500].std()) for one in found]
    assert all(one < 20 for one in inside[30:55])
    assert all(one > 90 for one in [*inside[:30], *inside[55:]])
    assert all(float(one[:600, 600:1200].std()) > 90 for one in found)


def test_frames_of_several_films_come_in_turn(clip):
    frames = interleaved([clip, clip], 3)
    means = [round(float(frame.mean())) for frame in frames]
    assert len(means) == 6
    assert means[0::2] == means[1::2]


def test_boxes_agree_within_a_pixel_and_in_number():
    assert boxes_agree([(0, 0, 10, 10)], [(0.5, 0, 10, 10)])
    assert not boxes_agree([(0, 0, 10, 10)], [(2, 0, 10, 10)])
    assert not boxes_agree([(0, 0, 10, 10)], [])
    assert boxes_agree([], [])


def test_clips_are_the_videos_of_a_folder_and_none_where_it_is_absent(clip, tmp_path):
    (clip.parent / "README.md").write_text("x")
    assert clip_files(clip.parent, ("*",)) == [clip]
    assert clip_files(clip.parent, ("other_*",)) == []
    assert clip_files(tmp_path / "absent", ("*",)) == []


def test_a_bare_decode_costs_something(clip):
    assert decode_cpu_s([clip] * 5) > 0


def test_the_judge_is_measured_by_wall_and_by_cpu(monkeypatch, tmp_path):
    theirs, ours = Cost(6.0, 9.0, 5.0), Cost(2.0, 6.0, 3.0)
    found = Comparison(100, (theirs,), (ours,), 0, 0.0, 0.0)
    monkeypatch.setattr(syncnet.judge, "measure", lambda *_: found)
    wall, cpu = syncnet.against_the_package(Options(tmp_path, tmp_path))
    assert (wall.value, cpu.value, wall.held) == (3.0, 1.5, True)


def test_a_judge_that_answers_otherwise_breaks_the_check(monkeypatch, tmp_path):
    def differs(*_):
        raise AssertionError("0.5 apart")

    monkeypatch.setattr(syncnet.judge, "measure", differs)
    assert {row.held for row in syncnet.against_the_package(Options(tmp_path, tmp_path))} == {False}
