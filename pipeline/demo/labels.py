"""What is true of a rendered film: its cuts, and the good and bad stretches of every face."""

from dataclasses import dataclass
from itertools import pairwise

from pipeline.demo.film_rendering import PreparedFilm
from pipeline.demo.scenario import Fault, Film
from pipeline.demo.truth import TrueStretch
from pipeline.tables.rows import FPS

_WHOLE = frozenset({"clock_restarts", "second_picture", "second_sound"})
"""Faults of the file: all of the film is good."""
_MAY_BE_CUT = frozenset(
    {"other_person", "dissolve", "fade", "hole", "damaged", "frozen", "clock_restarts"}
)
"""Where one finder of cuts sees one, another none, and both are right. The other person is there
for under 15 frames: that no clip holds both is measured in seconds."""
Span = tuple[int, int]
"""[start, end) in frames."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames [start, end) without a cut."""

    start: int
    end: int
    shot: int
    is_other: bool = False
    """The picture is that of the film's `other` shot."""


def pieces(prepared: PreparedFilm) -> list[Piece]:
    """Return what lies between the cuts of a film: shots, and another person put into one."""
    found = []
    for shot, (start, end) in enumerate(pairwise(prepared.starts)):
        inserted = _inserted(prepared.film.fault, start, end)
        edges = sorted({start, end, *(inserted or ())})
        found += [Piece(a, b, shot, (a, b) == inserted) for a, b in pairwise(edges)]
    return found


def _inserted(fault: Fault | None, start: int, end: int) -> Span | None:
    if fault is None or fault.kind != "other_person" or not start <= fault.start < end:
        return None
    return fault.start, end if fault.end is None else fault.end


def transitions(film: Film, num_frames: int) -> tuple[Span, ...]:
    """Return [start, end] frames in which a cut may be found or not."""
    fault = film.fault
    if fault is None or fault.kind not in _MAY_BE_CUT:
        return tuple((at, at) for at, _ in fault.jumps) if fault else ()
    return ((fault.start, num_frames if fault.end is None else fault.end),)


def stretches(
    film: Film, piece: Piece, matches: bool
) -> tuple[tuple[TrueStretch, ...], tuple[TrueStretch, ...]]:
    """Return the good and the bad stretches of a face in a piece of its film.

    Args:
        matches: what is heard is what this face says.
    """
    span, fault = (piece.start, piece.end), film.fault
    if piece.is_other:
        return (), (_bad(span, "other_person"),)
    if not film.keep or not matches:
        return (), (_bad(span, "not_speaking" if film.keep else film.kind),)
    if fault is None or fault.kind in _WHOLE or fault.kind == "other_person":
        return _good(span, film.offset_frames), ()
    middle = _common(span, (fault.start, span[1] if fault.end is None else fault.end))
    before, after = (span[0], middle[0]), (middle[1], span[1])
    lost = middle[1] - middle[0] if fault.kind == "lost_sound" else 0
    first = _good(before, film.offset_frames, at_end=not lost)
    second = _good(after, film.offset_frames + lost, at_start=not lost)
    return (*first, *second), (_bad(middle, fault.kind),)


def _good(
    span: Span, offset_frames: int, at_start: bool = True, at_end: bool = True
) -> tuple[TrueStretch, ...]:
    """Return the frames of a span whose sound lies in it too, if there are any.

    The sound of a frame lies `offset_frames` before it. Args `at_start`, `at_end`: whether the
    sound ends there; where sound is lost, the span is already that of the frames that have some.
    """
    start = span[0] + (max(offset_frames, 0) if at_start else 0)
    end = span[1] + (min(offset_frames, 0) if at_end else 0)
    if end <= start:
        return ()
    return (TrueStretch(start_s=start / FPS, end_s=end / FPS, offset_frames=offset_frames),)


def _bad(span: Span, kind: str) -> TrueStretch:
    return TrueStretch(start_s=span[0] / FPS, end_s=span[1] / FPS, kind=kind)


def _common(one: Span, two: Span) -> Span:
    return max(one[0], two[0]), min(one[1], two[1])
