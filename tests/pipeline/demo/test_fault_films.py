"""Films that are good in part: what lies in the files is what their truth says.

Read by PyAV here and not by the project's readers, which are what these films try.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray

from pipeline.demo.fault_films import FAULT_FILMS
from pipeline.demo.film_rendering import PreparedFilm, prepare_film
from pipeline.demo.film_writer import write_film
from pipeline.demo.spoiling import spoil
from pipeline.demo.truth import FaultKind, FileTruth, read_truth
from pipeline.tables.rows import FPS
from tests.pipeline.demo import small

KINDS = [film.kind for film in small.FAULT_FILMS]
FILM_OF = {film.kind: film for film in small.FAULT_FILMS}
Picture = NDArray[np.uint8]
Samples = NDArray[np.float64]


@dataclass
class Read:
    """A film as it was read: pictures by frame of the grid, sound on the same clock."""

    pictures: dict[int, Picture]
    damaged: set[int]
    samples: Samples
    rate_hz: int

    def sound(self, start: int, end: int) -> Samples:
        first, last = (round(frame * self.rate_hz / FPS) for frame in (start, end))
        return self.samples[first:last]


@pytest.fixture(scope="module")
def truths(films_in_part: Path) -> dict[str, FileTruth]:
    return {one.kind: one for one in read_truth(films_in_part / "truth.json")}


@cache
def read(path: Path, restart_s: Fraction) -> Read:
    """Read the default tracks; where the times go back, `restart_s` is added to what follows."""
    frames: dict[str, list[tuple[Fraction, av.VideoFrame | av.AudioFrame]]] = defaultdict(list)
    added: dict[str, Fraction] = defaultdict(Fraction)
    with av.open(str(path)) as container:
        chosen = [_default(container, kind) for kind in ("video", "audio")]
        for packet in container.demux(chosen):
            kind = packet.stream.type
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame | av.AudioFrame)
                time_s = (frame.pts or 0) * (frame.time_base or Fraction(1)) + added[kind]
                if frames[kind] and time_s < frames[kind][-1][0] - Fraction(1, 5):
                    added[kind] += restart_s
                    time_s += restart_s
                frames[kind].append((time_s, frame))
    return _aligned(frames)


def _default(container: av.container.InputContainer, kind: str) -> av.stream.Stream:
    of_kind = [one for one in container.streams if one.type == kind]
    default = [one for one in of_kind if Disposition.default in one.disposition]
    return (default or of_kind)[0]


def _aligned(frames: dict[str, list[tuple[Fraction, av.VideoFrame | av.AudioFrame]]]) -> Read:
    zero = frames["video"][0][0]
    seen = {round((t - zero) * FPS): f for t, f in frames["video"] if isinstance(f, av.VideoFrame)}
    heard = [(t - zero, f) for t, f in frames["audio"] if isinstance(f, av.AudioFrame)]
    rate = heard[0][1].sample_rate
    samples = np.zeros(round((heard[-1][0] + 1) * rate))
    for time_s, frame in heard:
        first, content = round(time_s * rate), frame.to_ndarray()[0].astype(float)
        skipped = max(0, -first)
        samples[first + skipped : first + len(content)] = content[skipped:]
    return Read(
        {number: shown(frame) for number, frame in seen.items()},
        {number for number, frame in seen.items() if frame.is_corrupt},
        samples,
        rate,
    )


def shown(frame: av.VideoFrame) -> Picture:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def found(folder: Path, kind: str) -> Read:
    fault = FILM_OF[kind].fault
    assert fault
    return read(folder / "videos" / FILM_OF[kind].uri, Fraction(fault.start, FPS))


def packet_times(folder: Path, kind: str) -> dict[str, list[float]]:
    """Decoding times in the order of the file, by type of stream."""
    times: dict[str, list[float]] = defaultdict(list)
    with av.open(str(folder / "videos" / FILM_OF[kind].uri)) as container:
        for packet in container.demux():
            if packet.dts is not None:
                times[packet.stream.type].append(float(packet.dts * packet.time_base))
    return times


@cache
def faultless(kind: str) -> PreparedFilm:
    """The film as it would be without its fault."""
    index = KINDS.index(kind)
    prepared = prepare_film(small.FAULT_FILMS[index], 3000 + index)
    return replace(prepared, film=replace(prepared.film, fault=None))


def painted(kind: str, frame: int) -> Picture:
    film = faultless(kind)
    return film.paint(film.shot_at(frame / FPS), frame / FPS)[0]


def apart(one: Picture, two: Picture) -> float:
    return float(np.abs(one.astype(int) - two).mean())


def alike(one: Samples, two: Samples) -> float:
    """Correlation of the loudness in steps of 10 ms; Matroska rounds times to 1 ms."""
    count = min(len(one), len(two)) // 441
    loud = [np.abs(x[: count * 441]).reshape(count, 441).mean(axis=1) for x in (one, two)]
    return float(np.corrcoef(*loud)[0, 1])


def own_sound(kind: str, read_film: Read, start: int, end: int) -> Samples:
    """The sound that belongs to pictures [start, end), as it was before the fault."""
    offset = FILM_OF[kind].offset_frames
    samples = faultless(kind).sound().at_rate(read_film.rate_hz).astype(float)
    return Read({}, set(), samples, read_film.rate_hz).sound(start - offset, end - offset)


@pytest.mark.parametrize("kind", KINDS)
def test_in_good_stretches_the_picture_is_the_films_own(
    films_in_part: Path, truths: dict[str, FileTruth], kind: str
) -> None:
    pictures = found(films_in_part, kind).pictures
    stretches = [one for face in truths[kind].faces for one in face.good]
    assert stretches
    for one in stretches:
        for frame in (one.frames[0], one.frames[len(one.frames) // 2], one.frames[-1]):
            assert apart(pictures[frame], painted(kind, frame)) < 6.0


@pytest.mark.parametrize("kind", KINDS)
def test_in_good_stretches_the_sound_lies_at_the_true_offset(
    films_in_part: Path, truths: dict[str, FileTruth], kind: str
) -> None:
    film = found(films_in_part, kind)
    spoken = [one for face in truths[kind].faces if face.speaking for one in face.good]
    for one in spoken:
        start, end = one.frames[0], one.frames[-1]
        heard = film.sound(start - one.offset_frames, end - one.offset_frames)
        assert alike(heard, own_sound(kind, film, start, end)) > 0.95


def test_the_foreign_sound_is_anothers(films_in_part: Path) -> None:
    film, start = found(films_in_part, "foreign_sound"), 24
    heard, end = film.sound(start, 40), 40
    other = faultless("foreign_sound").other_sound().at_rate(film.rate_hz).astype(float)
    assert alike(heard, Read({}, set(), other, film.rate_hz).sound(start, end)) > 0.95
    assert abs(alike(heard, own_sound("foreign_sound", film, start, end))) < 0.5


def test_lost_sound_leaves_two_good_stretches_at_two_offsets(truths: dict[str, FileTruth]) -> None:
    (face,) = truths["lost_sound"].faces
    assert [one.offset_frames for one in face.good] == [-5, 5]
    assert [one.frames for one in face.bad] == [range(20, 30)]


def test_another_person_is_between_two_cuts(
    films_in_part: Path, truths: dict[str, FileTruth]
) -> None:
    pictures = found(films_in_part, "other_person").pictures
    changes = [frame for frame in range(1, 47) if apart(pictures[frame - 1], pictures[frame]) > 20]
    assert changes == [20, 32]
    assert truths["other_person"].transitions == ((20, 32),)
    other = faultless("other_person").paint_other(25 / FPS)[0]
    assert apart(pictures[25], other) < 5.0
    assert [face.bad != () for face in truths["other_person"].faces] == [False, True, False]


def test_a_dissolve_shows_both_and_a_fade_is_black_at_the_cut(
    films_in_part: Path, truths: dict[str, FileTruth]
) -> None:
    film = faultless("dissolve")
    both = (film.paint(0, 47 / FPS)[0].astype(int) + film.paint(1, 47 / FPS)[0]) // 2
    mixed = found(films_in_part, "dissolve").pictures
    assert apart(mixed[47], both.astype(np.uint8)) < 5.0
    dark = found(films_in_part, "fade").pictures
    assert dark[47].mean() < 3
    assert dark[39].mean() > 1.9 * dark[43].mean() > 3.8 * dark[46].mean()
    for kind in ("dissolve", "fade"):
        assert truths[kind].cuts == ()
        assert truths[kind].transitions == ((40, 55),)


def test_a_frozen_picture_stands_while_the_sound_goes_on(films_in_part: Path) -> None:
    film = found(films_in_part, "frozen")
    still = [apart(film.pictures[15], film.pictures[frame]) for frame in range(16, 35)]
    assert max(still) < 1.0 < apart(film.pictures[34], film.pictures[35])
    assert alike(film.sound(15, 35), own_sound("frozen", film, 15, 35)) > 0.95


def test_a_hand_covers_the_mouth_and_nothing_else(
    films_in_part: Path, truths: dict[str, FileTruth]
) -> None:
    (face,) = truths["covered_mouth"].faces
    x0, y0, x1, y1 = (round(value) for value in face.boxes[6])
    covered = found(films_in_part, "covered_mouth").pictures[30]
    own, mouth, eyes = painted("covered_mouth", 30), y0 + round(0.76 * (y1 - y0)), (y0 + y1) // 2
    middle = slice((3 * x0 + x1) // 4, (x0 + 3 * x1) // 4)
    assert apart(covered[mouth - 3 : mouth + 3, middle], own[mouth - 3 : mouth + 3, middle]) > 25
    assert apart(covered[y0:eyes, x0:x1], own[y0:eyes, x0:x1]) < 8
    assert [one.frames for one in face.bad] == [range(25, 47)]


def test_a_hole_has_no_packet_of_either_stream(films_in_part: Path) -> None:
    times = packet_times(films_in_part, "hole")
    for kind, step_s in (("video", 1 / FPS), ("audio", 1024 / 44_100)):
        ((last_s, next_s),) = [(a, b) for a, b in pairwise(times[kind]) if b - a > 0.1]
        assert last_s == pytest.approx(0.8 - step_s, abs=0.025)
        assert next_s == pytest.approx(1.2, abs=0.025)


def test_damaged_packets_decode_with_errors_until_the_next_key_frame(
    films_in_part: Path, truths: dict[str, FileTruth]
) -> None:
    film = found(films_in_part, "damaged")
    assert film.damaged
    assert film.damaged <= set(range(12, 17))
    ((bad,),) = [face.bad for face in truths["damaged"].faces]
    torn = {
        frame for frame in range(47) if apart(film.pictures[frame], painted("damaged", frame)) > 5
    }
    assert torn == set(bad.frames) == set(range(12, 20))


def test_the_clock_restarts_once_in_both_streams(films_in_part: Path) -> None:
    times = packet_times(films_in_part, "clock_restarts")
    for kind in ("video", "audio"):
        back = [b - a for a, b in pairwise(times[kind]) if b < a]
        assert len(back) == 1
        assert back[0] == pytest.approx(-0.8, abs=0.06)
    assert len(times["video"]) == 47


def test_the_first_track_is_another_and_the_second_is_the_default(films_in_part: Path) -> None:
    for kind, of_type in (("second_picture", "video"), ("second_sound", "audio")):
        with av.open(str(films_in_part / "videos" / FILM_OF[kind].uri)) as container:
            flags = [
                Disposition.default in one.disposition
                for one in container.streams
                if one.type == of_type
            ]
            assert flags == [False, True]
    path = films_in_part / "videos" / FILM_OF["second_picture"].uri
    with av.open(str(path)) as container:
        first = shown(next(container.decode(container.streams.video[0])))
    assert apart(first, painted("second_picture", 0)) > 30
    film = found(films_in_part, "second_sound")
    with av.open(str(films_in_part / "videos" / FILM_OF["second_sound"].uri)) as container:
        frames = [f.to_ndarray()[0] for f in container.decode(container.streams.audio[0])]
    other = np.concatenate(frames).astype(float)
    assert alike(other, film.samples) < 0.8


def test_equal_films_have_equal_bytes(films_in_part: Path, tmp_path: Path) -> None:
    """Copying and damaging packets is as exact as encoding; and nothing is left beside a film."""
    for index, film in enumerate(small.FAULT_FILMS):
        if film.how.b_frames and film.kind != "clock_restarts":
            continue
        path = tmp_path / film.uri
        prepared = prepare_film(film, 3000 + index)
        write_film(path, prepared.frames(lambda *_: None), prepared.sound(), film.how)
        spoil(path, prepared)
        assert path.read_bytes() == (films_in_part / "videos" / film.uri).read_bytes(), film.uri
    assert not list(tmp_path.glob(".*"))


def test_the_full_corpus_has_every_kind_with_a_good_stretch_that_must_be_kept() -> None:
    assert {film.kind for film in FAULT_FILMS} == set(get_args(FaultKind)) == set(KINDS)
    assert all(film.fault and film.fault.kind == film.kind for film in FAULT_FILMS)
