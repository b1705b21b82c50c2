"""Faces that `scenes` cuts in its own pass, and films that are cut into spans: the same clips."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.engine.ahead import Ahead
from pipeline.engine.cache import LocalCache
from pipeline.engine.command import execute, item_key, plan
from pipeline.engine.joining import Spans, joined
from pipeline.engine.outcome import Outcome, Part
from pipeline.engine.runner import SerialRunner
from pipeline.engine.stage import Stage
from pipeline.errors import TooManyFailuresError, WeightsError
from pipeline.faces.backend import Frame
from pipeline.faces.stage import Faces, VideoShots
from pipeline.media import spans
from pipeline.media.frames import film_frames
from pipeline.media.probe import probe
from pipeline.media.shots import find_shots
from pipeline.params.curation import FacesParams, Params, ScenesParams
from pipeline.tables.rows import FPS, Scene, Video
from pipeline.weights import files as weights
from stages.faces import join_tracks, spans_with_shots
from stages.scenes import Scenes, VideoFile, join_shots, spans_to_cut
from tests.media import Sound, frame_times, write_video
from tests.stages.test_faces import portrait_at

LENGTH = 420


@pytest.fixture(scope="module", autouse=True)
def networks() -> None:
    try:
        weights.fetch()
    except WeightsError as error:
        pytest.skip(str(error))


def portrait(k: int, x: float, level: int = 120) -> Frame:
    """A moving face before a background of its own."""
    image = portrait_at(x + 20 * np.sin(k / 15), 120 + 6 * np.sin(k / 9)).copy()
    image[(image == 120).all(axis=2)] = level
    image[224:, 3 * k % 300 :][:, :16] = 200
    return image


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cut at 90, a flash of 2 frames at 130, a dissolve from 200 to 212, a cut at 300."""
    shown = [portrait(k, 120) for k in range(90)]
    shown += [portrait(k, 200, 60) for k in range(90, 212)]
    shown += [portrait(k, 110, 190) for k in range(212, 300)]
    shown += [portrait(k, 170, 30) for k in range(300, LENGTH)]
    for k in (130, 131):
        shown[k] = np.full_like(shown[k], 250)
    for k in range(200, 212):
        share = (k - 199) / 13
        mixed = (1 - share) * shown[k].astype(float) + share * portrait(k, 110, 190)
        shown[k] = mixed.astype(np.uint8)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 16_000 * LENGTH // FPS))
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    sound = Sound(noise.astype(np.float32))
    return write_video(path, shown, frame_times(FPS, LENGTH / FPS), sound)


@pytest.fixture(scope="module")
def video(film: Path) -> Video:
    facts = probe(film)
    known = {field.name for field in dataclasses.fields(Video)}
    values = {f.name: getattr(facts, f.name) for f in dataclasses.fields(facts) if f.name in known}
    return Video(video_id="f" * 64, uri=film.name, size_bytes=1, **values)


def run(stage: Stage[Any, Any], items: list[Any], cache: LocalCache) -> list[Outcome]:
    return list(SerialRunner().run(stage, plan(stage, items), cache))


def files_of(cache: LocalCache, key: str) -> Mapping[str, bytes]:
    stored = cache.lookup(key)
    assert stored is not None
    return {name: cache.artifact_path(key, name).read_bytes() for name in stored["files"]}


@pytest.fixture(scope="module")
def alone(film: Path, video: Video, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The film through both stages, one after the other: (cache, shots, key of the faces)."""
    cache = LocalCache(tmp_path_factory.mktemp("alone"))
    found = tuple(find_shots(film, ScenesParams()))
    faces = Faces(FacesParams())
    (outcome,) = run(faces, [VideoShots(video, str(film), found)], cache)
    return cache, found, outcome


def test_scenes_leaves_the_clips_that_faces_would_make(
    film: Path, video: Video, alone: Any, tmp_path: Path
) -> None:
    """Though a flash and a dissolve show only later that a cut was none."""
    cache = LocalCache(tmp_path)
    faces = Faces(FacesParams())
    run(Scenes(ScenesParams(), Ahead.of(faces, cache)), [VideoFile(video, str(film))], cache)
    there, shots, outcome = alone
    assert len(shots) >= 4
    assert not {(0, 90), (90, 200)} <= set(shots), "some shots end elsewhere than at a cut"
    key = item_key(faces, VideoShots(video, "elsewhere", shots))
    assert key == outcome.key
    stored, wanted = cache.lookup(key), there.lookup(key)
    assert stored is not None
    assert stored["parts"] == wanted["parts"]
    assert sum(part["status"] == "kept" for part in stored["parts"]) >= 3
    assert files_of(cache, key) == files_of(there, key)


def test_the_rows_of_scenes_do_not_depend_on_the_faces(
    film: Path, video: Video, alone: Any, tmp_path: Path
) -> None:
    cache = LocalCache(tmp_path)
    stage = Scenes(ScenesParams(), Ahead.of(Faces(FacesParams()), cache))
    item = VideoFile(video, str(film))
    (with_faces,) = run(stage, [item], cache)
    before = set(cache.keys())
    (without,) = run(Scenes(ScenesParams()), [item], LocalCache(tmp_path / "other"))
    (plain,) = run(stage, [stage.plain(item)], cache)
    assert with_faces.parts == without.parts == plain.parts
    assert set(cache.keys()) == before


def test_a_face_that_cannot_be_cut_costs_no_shot(
    film: Path, video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("no face today")

    cache = LocalCache(tmp_path)
    monkeypatch.setattr("stages.scenes.shots_and_clips", refuse)
    stage = Scenes(ScenesParams(), Ahead.of(Faces(FacesParams()), cache))
    (outcome,) = run(stage, [VideoFile(video, str(film))], cache)
    assert outcome.status == "kept"
    assert list(cache.keys()) == [outcome.key]


@pytest.mark.parametrize("span", [(0, 60), (137, 190), (250, 380), (300, LENGTH)])
def test_a_span_shows_the_frames_of_the_whole_film(film: Path, span: tuple[int, int]) -> None:
    whole = [frame.image for frame in film_frames(film)]
    part = [frame.image for frame in film_frames(film, span=span)]
    assert len(part) == span[1] - span[0]
    for one, other in zip(part, whole[slice(*span)], strict=True):
        assert all(map(np.array_equal, one.planes, other.planes))


def damaged_key(path: Path, source: Path, frame: int) -> Path:
    """Copy a film; the second half of the key frame that is shown at a frame becomes nonsense."""
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        shown = {round(float((p.pts or 0) * p.time_base) * FPS): p for p in container.demux(stream)
                 if p.size and p.is_keyframe}  # fmt: skip
    packet = shown[frame]
    assert packet.pos is not None
    begin = packet.pos + packet.size // 2
    content[begin : packet.pos + packet.size] = b"\xff" * (packet.size - packet.size // 2)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", ["damaged key frame", "intra refresh"])
def test_a_span_keeps_its_place_where_the_seek_finds_no_whole_picture(
    tmp_path: Path, case: str
) -> None:
    options = {"crf": "20", "preset": "veryfast", "g": "50", "bf": "0"}
    if case == "intra refresh":
        options["x264-params"] = "intra-refresh=1:keyint=50"
    shown = [portrait(k, 120) for k in range(200)]
    film = write_video(tmp_path / "x.mkv", shown, frame_times(FPS, 8), options=options)
    if case == "damaged key frame":
        film = damaged_key(tmp_path / "y.mkv", film, 100)
    whole = list(film_frames(film))
    for span in ((102, 150), (110, 160), (151, 200)):
        part = list(film_frames(film, span=span))
        assert len(part) == span[1] - span[0]
        for one, other in zip(part, whole[slice(*span)], strict=True):
            assert one.damaged == other.damaged
            assert np.array_equal(one.image.planes[0], other.image.planes[0])


@pytest.fixture
def short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans of 140 frames, and a margin that is shorter than a span."""
    monkeypatch.setattr(spans, "SPAN_FRAMES", LENGTH // 3)


def test_the_shots_of_spans_are_those_of_the_film(
    film: Path, video: Video, alone: Any, short_spans: None, tmp_path: Path
) -> None:
    cache = LocalCache(tmp_path)
    items = spans_to_cut(video, str(film))
    assert [item.span for item in items] == [(0, 140), (140, 280), (280, 420)]
    parts = run(Scenes(ScenesParams()), items, cache)
    (outcome,) = joined(parts, lambda _, found: join_shots(found, video.num_frames))
    (whole,) = run(Scenes(ScenesParams()), [VideoFile(video, str(film))], cache)
    assert outcome.item_id == video.video_id
    assert [part.row for part in outcome.parts] == [part.row for part in whole.parts]
    assert [part.status for part in outcome.parts] == [part.status for part in whole.parts]


def test_a_span_that_fails_is_a_row_and_no_dissolve(
    film: Path, video: Video, short_spans: None, tmp_path: Path
) -> None:
    first, second, third = run(
        Scenes(ScenesParams()), spans_to_cut(video, str(film)), LocalCache(tmp_path)
    )
    part = dataclasses.replace(second.parts[0], status="failed", reason="decode_error", row=None)
    failed = dataclasses.replace(second, status="failed", parts=(part,))

    def join(_: str, found: Spans) -> list[Part]:
        return join_shots(found, video.num_frames)

    (outcome,) = joined([first, failed, third], join)
    assert outcome.status == "kept"
    assert [part.reason for part in outcome.parts if part.status == "failed"] == ["decode_error"]
    lost = [part.row for part in outcome.parts if part.reason == "transition" and part.row]
    assert all(row["end_frame"] <= 140 or row["start_frame"] >= 280 for row in lost)


def test_every_span_cuts_its_own_clips_and_tracks_are_numbered_through_the_film(
    film: Path, video: Video, alone: Any, short_spans: None, tmp_path: Path
) -> None:
    _, shots, _ = alone
    cache = LocalCache(tmp_path)
    stage = Faces(FacesParams(), cache)
    items = list(spans_with_shots(video, str(film), list(shots)))
    (outcome,) = joined(run(stage, items, cache), join_tracks)
    rows = [part.row for part in outcome.parts if part.row]
    assert {row["scene"] for row in rows} <= set(range(len(shots)))
    for row in rows:
        assert row["start_frame"] >= shots[row["scene"]][0]
        assert row["end_frame"] <= shots[row["scene"]][1]
    tracks = [row["track"] for row in rows]
    assert tracks == sorted(tracks)
    assert len(set(tracks)) == len(tracks)
    assert sum(row["num_frames"] for row in rows) > 0.8 * LENGTH


def test_the_sound_of_a_long_film_is_decoded_once(
    film: Path,
    video: Video,
    alone: Any,
    short_spans: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipeline.faces import film_source as source

    calls, decode = [], source.decode_audio

    def counted(*given: Any) -> Any:
        calls.append(given)
        return decode(*given)

    monkeypatch.setattr(source, "decode_audio", counted)
    _, shots, _ = alone
    cache = LocalCache(tmp_path)
    run(Faces(FacesParams(), cache), list(spans_with_shots(video, str(film), list(shots))), cache)
    assert len(calls) == 1


def test_a_bug_in_one_span_of_a_kept_film_stops_the_run(
    video: Video, short_spans: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half(Scenes):
        def process(self, item: VideoFile, workdir: Path) -> Any:
            if item.span and item.span[0]:
                raise ZeroDivisionError("a bug")
            return [Scene(video_id="f", scene=0, start_frame=0, end_frame=140)]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIPFORGE_RUNNER", "serial")

    def finish(found: Sequence[Outcome]) -> list[Outcome]:
        return joined(found, lambda _, spans: join_shots(spans, LENGTH))

    with pytest.raises(TooManyFailuresError, match="a bug"):
        execute(Half(ScenesParams()), spans_to_cut(video, "x"), Path("t.parquet"), Scene,
                Params(), finish)  # fmt: skip


def test_films_without_an_index_of_key_frames_are_one_span(video: Video, short_spans: None) -> None:
    for changed in ({"container": "avi"}, {"container": "mpegts"}, {"clock_restarts_s": [3.0]}):
        assert len(spans.spans_of(dataclasses.replace(video, **changed))) == 1
    assert len(spans.spans_of(video)) == 3
