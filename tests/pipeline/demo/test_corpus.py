"""truth.json says what the files are: checked by reading the files with the project's readers."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.demo.catalogue import BROKEN_FILES, FILMS
from pipeline.demo.corpus import render_files
from pipeline.demo.film_rendering import prepare_film
from pipeline.demo.scenario import Shot
from pipeline.demo.truth import Face, FileTruth, read_truth
from pipeline.errors import EmptyFileError, MediaError, NotMediaError
from pipeline.faces.boxes import box_of, longer_side
from pipeline.faces.litert import LiteRTBackend
from pipeline.media.audio import decode_audio
from pipeline.media.frames import frames_at_25fps
from pipeline.media.probe import probe
from pipeline.tables.rows import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from tests.pipeline.demo import small

Truths = dict[str, FileTruth]
RENDERED = [film.uri for film in small.FILMS]
SAME_WORDS = [film.uri for film in small.FILMS if film.kind == "talking"]


@pytest.fixture(scope="module")
def truths(corpus: Path) -> Truths:
    return {one.uri: one for one in read_truth(corpus / "truth.json")}


@pytest.fixture(scope="module")
def frames_of(corpus: Path) -> Callable[[str], list[NDArray[np.uint8]]]:
    cached: dict[str, list[NDArray[np.uint8]]] = {}

    def read(uri: str) -> list[NDArray[np.uint8]]:
        if uri not in cached:
            cached[uri] = list(frames_at_25fps(corpus / "videos" / uri))
        return cached[uri]

    return read


def sound_onset_s(path: Path) -> float:
    """First moment at which speech is heard, on the picture's clock."""
    found = probe(path)
    samples = decode_audio(path, found.video_start_s, found.num_frames * SAMPLES_PER_FRAME)
    loud = np.abs(samples.astype(np.float64)) > 1500
    return float(np.flatnonzero(loud)[0] / SAMPLE_RATE_HZ)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_file_has_its_truth_and_every_truth_its_file(corpus: Path, truths: Truths) -> None:
    there = {
        path.relative_to(corpus / "videos").as_posix()
        for path in (corpus / "videos").rglob("*")
        if path.is_file()
    }
    assert there == set(truths)


@pytest.mark.parametrize("uri", RENDERED)
def test_length_size_and_clock_are_those_of_the_truth(
    corpus: Path, truths: Truths, uri: str
) -> None:
    film = next(film for film in small.FILMS if film.uri == uri)
    found = probe(corpus / "videos" / uri)
    assert abs(found.num_frames - truths[uri].num_frames) <= 1
    assert (found.width, found.height) == film.size
    assert found.rotation_deg == film.how.rotation_deg
    assert found.variable_fps == film.how.variable_fps
    if not film.how.variable_fps:
        assert found.average_fps == pytest.approx(float(film.how.fps), rel=0.01)
    if film.how.audio_codec:
        assert (found.audio_rate_hz, found.audio_channels) == (
            film.how.audio_rate_hz,
            film.how.channels,
        )
        assert found.audio_start_s == pytest.approx(film.how.audio_start_s, abs=0.03)
    else:
        assert not found.audio_codec


@pytest.mark.parametrize("uri", SAME_WORDS)
def test_sound_begins_where_the_true_offset_says(corpus: Path, uri: str) -> None:
    """All small films of one actor say the same; only clock and offset differ."""
    film = next(film for film in small.FILMS if film.uri == uri)
    plain_s = sound_onset_s(corpus / "videos" / "plain.mp4")
    seen_later_s = max(0, film.offset_frames) / FPS
    expected_s = plain_s + seen_later_s - film.offset_frames / FPS
    assert sound_onset_s(corpus / "videos" / uri) == pytest.approx(expected_s, abs=0.006)


def test_the_picture_changes_at_the_true_cuts_and_nowhere_else(
    truths: Truths, frames_of: Callable[[str], list[NDArray[np.uint8]]]
) -> None:
    small_frames = [cv2.resize(f, (48, 36)).astype(int) for f in frames_of("cuts.mp4")]
    change = np.array([0.0, *(np.abs(b - a).mean() for a, b in pairwise(small_frames))])
    cuts = list(truths["cuts.mp4"].cuts)
    assert sorted(np.argsort(-change)[: len(cuts)].tolist()) == cuts
    assert change[cuts].min() > 5 * np.delete(change, cuts).max()


@pytest.mark.parametrize(
    "uri", ["plain.mp4", "turned.mp4", "ntsc.mkv", "variable.mp4", "pair.mp4", "cuts.mp4"]
)
def test_true_boxes_lie_on_the_faces(
    truths: Truths,
    frames_of: Callable[[str], list[NDArray[np.uint8]]],
    backend: LiteRTBackend,
    uri: str,
) -> None:
    for face in truths[uri].faces:
        frame, box = face.frames[2], face.boxes[2]
        found = backend.landmarks(frames_of(uri)[frame], np.array(box, np.float32))
        assert found.score > 0.9
        assert np.abs(np.subtract(box_of(found.points), box)).max() < 0.12 * longer_side(box)


def test_only_the_speaking_face_of_a_pair_moves_its_mouth(
    truths: Truths,
    frames_of: Callable[[str], list[NDArray[np.uint8]]],
    backend: LiteRTBackend,
) -> None:
    speaking, silent = truths["pair.mp4"].faces
    assert (speaking.speaking, silent.speaking) == (True, False)
    assert (speaking.should_be_kept, silent.should_be_kept) == (True, False)

    def spread(face: Face) -> float:
        gaps = []
        for frame, box in zip(face.frames, face.boxes, strict=True):
            picture = frames_of("pair.mp4")[frame]
            points = backend.landmarks(picture, np.array(box, np.float32)).points
            gaps.append(np.linalg.norm(points[13] - points[14]) / longer_side(box))
        return float(np.ptp(gaps))

    assert spread(speaking) > 4 * spread(silent)


def test_in_pairs_the_truth_says_whose_words_are_heard(truths: Truths) -> None:
    found = {uri: [f.speech_matches for f in truths[uri].faces] for uri in truths}
    assert found["pair.mp4"] == [True, False]
    assert found["mimed.mp4"] == [False, True]
    mime, speaker = truths["mimed.mp4"].faces
    assert (mime.speaking, mime.should_be_kept, mime.offset_frames) == (True, False, 0)
    assert (speaker.should_be_kept, speaker.offset_frames) == (True, 3)


def test_a_listener_moves_its_mouth_less_than_a_mime() -> None:
    mime = small.film("x.mp4", shots=(Shot(actors=(small.MIME, small.ANNA)),))
    quiet = small.film("x.mp4", shots=(Shot(actors=(replace(small.MIME, effort=0.3), small.ANNA)),))
    gaps = [prepare_film(one, 0).shots[0].portraits[0].articulation.gap for one in (mime, quiet)]
    assert gaps[1] == pytest.approx(0.3 * gaps[0])
    assert gaps[0].max() > 0.3


def test_the_voice_heard_is_that_of_the_first_actor_who_may_be_heard() -> None:
    mimed = prepare_film(small.film("x.mp4", shots=(Shot(actors=(small.MIME, small.ANNA)),)), 0)
    alone = prepare_film(small.film("x.mp4", shots=(Shot(actors=(small.ANNA,)),)), 0)
    assert mimed.shots[0].speaker == 1
    assert alone.shots[0].heard is not None
    assert mimed.shots[0].heard is not None
    assert np.array_equal(mimed.shots[0].heard.samples, alone.shots[0].heard.samples)


def test_poor_pictures_are_poor(
    truths: Truths,
    frames_of: Callable[[str], list[NDArray[np.uint8]]],
    backend: LiteRTBackend,
) -> None:
    def sharpness(uri: str) -> float:
        grey = cv2.cvtColor(frames_of(uri)[10], cv2.COLOR_RGB2GRAY)
        return float(cv2.Laplacian(grey, cv2.CV_64F).var())

    def nose_share(uri: str) -> float:
        box = truths[uri].faces[0].boxes[2]
        picture = frames_of(uri)[truths[uri].faces[0].frames[2]]
        points = backend.landmarks(picture, np.array(box, np.float32)).points
        return float((points[1, 0] - box[0]) / (box[2] - box[0]))

    assert sharpness("blurred.mp4") < 0.05 * sharpness("plain.mp4")
    assert longer_side(truths["tiny.mp4"].faces[0].boxes[0]) < 32
    assert nose_share("plain.mp4") == pytest.approx(0.5, abs=0.12)
    assert abs(nose_share("profile.mp4") - 0.5) > 0.25


def test_what_is_heard_is_not_what_a_dubbed_or_silent_face_says(truths: Truths) -> None:
    for uri in ("dubbed.mp4", "silent.mp4"):
        face = truths[uri].faces[0]
        assert not face.speech_matches
        assert not face.should_be_kept
    assert truths["dubbed.mp4"].faces[0].speaking
    assert truths["nobody.mp4"].faces == ()


def test_broken_files_fail_as_their_truth_says(corpus: Path, truths: Truths) -> None:
    videos = corpus / "videos"
    with pytest.raises(EmptyFileError):
        probe(videos / "broken/zero.mp4")
    with pytest.raises(NotMediaError):
        probe(videos / "broken/not a video.mp4")
    with pytest.raises(MediaError) as caught:
        probe(videos / "broken/cut off.mp4")
    assert caught.value.reason in truths["broken/cut off.mp4"].endings["ingest"]["reasons"]
    copy = videos / "copies/interview.mp4"
    assert copy.read_bytes() == (videos / "plain.mp4").read_bytes()


def test_the_number_of_workers_does_not_change_a_byte(tmp_path: Path, corpus: Path) -> None:
    chosen = [film for film in small.FILMS if film.uri in ("plain.mp4", "early.mkv", "vp8.webm")]
    one = render_files(tmp_path / "one", chosen, (), seed=3, workers=1).parent
    two = render_files(tmp_path / "two", chosen, (), seed=3, workers=2).parent
    assert digests(one) == digests(two)
    assert digests(one)["videos/plain.mp4"] == digests(corpus)["videos/plain.mp4"]


def test_the_seed_changes_the_movement(tmp_path: Path, corpus: Path) -> None:
    other = render_files(tmp_path / "other", small.FILMS[:1], (), seed=4, workers=1).parent
    assert digests(other)["videos/plain.mp4"] != digests(corpus)["videos/plain.mp4"]


def test_a_failed_rendering_leaves_the_old_corpus_alone(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    out.mkdir()
    (out / "truth.json").write_text("old")
    broken = small.film(
        "x.mp4", shots=(small.Shot(actors=(small.replace(small.HOPE, voice="xx"),)),)
    )
    with pytest.raises(Exception, match="no such voice"):
        render_files(out, [broken], (), workers=1)
    assert (out / "truth.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_the_full_corpus_names_every_fault_and_has_enough_to_keep() -> None:
    faults = {fault for one in (*FILMS, *BROKEN_FILES) for fault in one.faults}
    assert faults >= {
        "shifted", "dubbed", "silent_face", "listening_face", "miming_face", "no_face",
        "cuts", "blur", "tiny_face", "profile",
        "fps_30", "fps_23.976", "fps_variable", "rotated", "stereo_44k1", "stereo_48k",
        "audio_starts_late", "duplicate", "truncated", "zero_bytes", "not_media", "no_audio",
        "hostile_name", "equal_name",
    }  # fmt: skip
    talking = [film for film in FILMS if film.kind == "talking"]
    assert len(talking) >= 9
    offsets = {film.offset_frames for film in talking}
    assert {0} < offsets
    assert min(offsets) < -8
    assert max(offsets) > 8
    assert all(abs(offset) <= 12 for offset in offsets)
    names = [Path(one.uri).name for one in (*FILMS, *BROKEN_FILES)]
    assert len(names) > len(set(names))
