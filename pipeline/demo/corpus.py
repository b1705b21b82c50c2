"""Renders the demo corpus: `videos/` with all films and broken files, `truth.json` beside it."""

import multiprocessing
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
from tqdm import tqdm

from pipeline.atomic import replacing_folder
from pipeline.demo import scenario
from pipeline.demo.catalogue import BROKEN_FILES, FILMS
from pipeline.demo.film_rendering import PreparedFilm, prepare_film
from pipeline.demo.film_writer import Format, write_film
from pipeline.demo.labels import Piece, pieces, stretches, transitions
from pipeline.demo.picture_faults import hidden_share, hides_lips
from pipeline.demo.scenario import BrokenFile, Ending, Film
from pipeline.demo.spoiling import spoil
from pipeline.demo.truth import BOX_EVERY, Face, FileTruth, write_truth
from pipeline.errors import StorageError
from pipeline.faces.box import Box
from pipeline.limits import usable_cpus


def render_corpus(
    out: Path, seed: int = 0, videos: int | Literal["all"] = "all", workers: int | None = None
) -> Path:
    """Render films and broken_files into `out/videos`, their truth into `out/truth.json`.

    All of it appears at once: the folder is filled under another name first. Equal arguments give
    equal bytes on one machine, whatever the number of workers.

    Args:
        out: a folder that is replaced as a whole.
        videos: so many of the files only, in the order of `catalogue.py`.
        workers: processes; None takes one per core.

    Returns:
        The path of truth.json.

    Raises:
        SpeechError, PortraitError: the extra `demo` is not installed.
        StorageError: the disk is full or not writable.
    """
    films, broken_files = _chosen(videos)
    return render_files(out, films, broken_files, seed, workers)


def render_files(
    out: Path,
    films: Sequence[Film],
    broken_files: Sequence[BrokenFile],
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Render any films and broken_files; as `render_corpus`."""
    try:
        with replacing_folder(out) as part:
            (part / "videos").mkdir()
            truths = _render_all(films, part / "videos", seed, workers)
            truths += [_write_broken_file(broken, part / "videos") for broken in broken_files]
            write_truth(part / "truth.json", seed, truths)
    except OSError as error:
        raise StorageError(f"{out}: cannot write the demo corpus: {error}") from error
    return out / "truth.json"


def _chosen(videos: int | Literal["all"]) -> tuple[Sequence[Film], Sequence[BrokenFile]]:
    if videos == "all":
        return FILMS, BROKEN_FILES
    films = FILMS[:videos]
    there = {film.uri for film in films}
    room = max(0, videos - len(films))
    return films, [
        broken for broken in BROKEN_FILES if not broken.source or broken.source in there
    ][:room]


def _render_all(
    films: Sequence[Film], folder: Path, seed: int, workers: int | None
) -> list[FileTruth]:
    count = min(len(films), workers or usable_cpus())
    jobs = [(film, folder, seed * 1000 + index) for index, film in enumerate(films)]
    if count == 1:
        return [_render(*job) for job in jobs]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        longest_first = sorted(jobs, key=lambda job: _letters(job[0]), reverse=True)
        running = {job[0].uri: pool.submit(_render, *job) for job in longest_first}
        ended = as_completed(running.values())
        for one in tqdm(ended, "demo corpus", len(jobs), unit="film", disable=None):
            one.result()
    return [running[film.uri].result() for film in films]


def _letters(film: Film) -> int:
    """Return about how long a film is: the letters that are spoken in it."""
    return sum(len(actor.text) for shot in film.shots for actor in shot.actors)


def _render(film: Film, folder: Path, seed: int) -> FileTruth:
    """Render one film; runs in a process of its own."""
    cv2.setNumThreads(1)
    path = folder / film.uri
    path.parent.mkdir(parents=True, exist_ok=True)
    prepared = prepare_film(film, seed)
    shown = _FaceBoxLog()
    write_film(path, prepared.frames(shown.add), prepared.sound(), film.how)
    spoil(path, prepared)
    return _truth(prepared, shown)


@dataclass
class _FaceBoxLog:
    """Face boxes of every rendered frame, by time."""

    times_s: list[float] = field(default_factory=list)
    boxes: list[tuple[Box, ...]] = field(default_factory=list)

    def add(self, time_s: float, boxes: tuple[Box, ...]) -> None:
        self.times_s.append(time_s)
        self.boxes.append(boxes)

    def at(self, frame: int) -> tuple[Box, ...]:
        """Return the boxes of the picture that is shown at a frame of the 25 fps grid."""
        return self.boxes[max(0, bisect_right(self.times_s, frame / 25 + 1e-6) - 1)]


def _truth(prepared: PreparedFilm, shown: _FaceBoxLog) -> FileTruth:
    film, num_frames = prepared.film, prepared.starts[-1]
    between = pieces(prepared)
    cuts = [piece.start for piece in between[1:]]
    spans = transitions(film, num_frames)
    return FileTruth(
        uri=film.uri,
        kind=film.kind,
        faults=film.faults,
        endings=_endings(film.kind, film.keep),
        num_frames=num_frames,
        cuts=tuple(cut for cut in cuts if not any(a <= cut <= b for a, b in spans)),
        transitions=spans,
        jumps=film.fault.jumps if film.fault else (),
        may_fail=scenario.MAY_FAIL.get(film.kind, ()),
        faces=tuple(
            _face(prepared, shown, number, piece, index)
            for number, piece in enumerate(between)
            for index in range(_faces_in(prepared, piece))
        ),
        stored=_stored(film.how),
    )


def _faces_in(prepared: PreparedFilm, piece: Piece) -> int:
    shot = prepared.other if piece.is_other else prepared.shots[piece.shot]
    return len(shot.portraits) if shot else 0


def _face(
    prepared: PreparedFilm, shown: _FaceBoxLog, number: int, piece: Piece, index: int
) -> Face:
    frames = tuple(range(piece.start, piece.end, BOX_EVERY))
    shot, film = prepared.shots[piece.shot], prepared.film
    matches = index == shot.speaker and not piece.is_other and not film.muted
    good, bad = stretches(film, piece, matches)
    return Face(
        shot=number,
        start_frame=piece.start,
        end_frame=piece.end,
        frames=frames,
        boxes=tuple(_rounded(shown.at(frame)[index]) for frame in frames),
        speaking=shot.speaking[index] and not piece.is_other,
        offset_frames=film.offset_frames if matches else 0,
        speech_matches=matches,
        should_be_kept=matches and film.keep,
        good=good,
        bad=bad,
        hidden=() if piece.is_other else _hidden(prepared, shown, piece, index),
    )


def _hidden(
    prepared: PreparedFilm, shown: _FaceBoxLog, piece: Piece, index: int
) -> tuple[tuple[int, float], ...]:
    """Return (frame, hidden share of the lips) where something is before the picture."""
    fault = prepared.film.fault
    if fault is None or not hides_lips(fault):
        return ()
    shares = {
        frame: hidden_share(prepared, fault, index, shown.at(frame)[index], frame)
        for frame in range(piece.start, piece.end)
        if fault.holds(frame)
    }
    return tuple((frame, round(share, 3)) for frame, share in shares.items())


def _rounded(box: Box) -> Box:
    x0, y0, x1, y1 = (round(value, 2) for value in box)
    return x0, y0, x1, y1


def _endings(kind: str, keep: bool) -> dict[str, dict[str, Any]]:
    usual = scenario.TALKING if keep else scenario.UNUSABLE
    return {stage: _ending(one) for stage, one in scenario.ENDINGS.get(kind, usual).items()}


def _ending(ending: Ending) -> dict[str, Any]:
    return {"status": ending.status, "reasons": list(ending.reasons)}


def _stored(how: Format) -> dict[str, Any]:
    return {**asdict(how), "fps": str(how.fps)}


def _write_broken_file(broken: BrokenFile, folder: Path) -> FileTruth:
    path = folder / broken.uri
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (folder / broken.source).read_bytes() if broken.source else broken.content
    path.write_bytes(content[: round(len(content) * broken.share)])
    return FileTruth(
        uri=broken.uri, kind=broken.kind, faults=broken.faults, endings=_endings(broken.kind, False)
    )
