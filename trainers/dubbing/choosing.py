"""Which faces of a video are dubbed."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pipeline.errors import SourceError
from pipeline.tables.rows import FPS
from trainers.dubbing.face_tracks import FaceTrace

ALL: Literal["all"] = "all"
MAIN: Literal["main"] = "main"
MIN_SIZE_SHARE = 0.5
"""A face that stands in for the main one has at least this share of its size: no bystander."""

Choice = Literal["main", "all"] | tuple[int, ...]
"""`main`, `all`, or the numbers of faces."""


def choose(traces: Sequence[FaceTrace], choice: Choice) -> list[FaceTrace]:
    """Return the chosen faces in order of their numbers.

    `main` takes in every shot the face with the largest area summed over time, and where that one
    is not to be seen the next that is at least half as large. So two of them never share a frame.

    Raises:
        SourceError: a number that no face has.
    """
    if choice == ALL:
        return list(traces)
    if isinstance(choice, str):
        scenes = sorted({one.scene for one in traces})
        return [
            face for scene in scenes for face in _main(one for one in traces if one.scene == scene)
        ]
    known = {one.number: one for one in traces}
    if unknown := sorted(set(choice) - set(known)):
        raise SourceError(f"--face {unknown[0]}: no such face; there are:\n{listing(traces)}")
    return [known[number] for number in sorted(set(choice))]


def _main(traces: Iterable[FaceTrace]) -> list[FaceTrace]:
    ranked = sorted(traces, key=lambda one: (-one.weight, one.number))
    taken: list[FaceTrace] = []
    for one in ranked:
        large = one.face_px >= MIN_SIZE_SHARE * ranked[0].face_px
        if large and not any(_together(one, other) for other in taken):
            taken.append(one)
    return sorted(taken, key=lambda one: one.number)


def _together(one: FaceTrace, other: FaceTrace) -> bool:
    return one.start_frame < other.end_frame and other.start_frame < one.end_frame


def listing(traces: Sequence[FaceTrace], chosen: Sequence[FaceTrace] = ()) -> str:
    """Return one line per face: number, shot, time, size; a star marks the chosen ones."""
    marked = {one.number for one in chosen}
    return "\n".join(
        f"{'*' if one.number in marked else ' '} face {one.number}: shot {one.scene}, "
        f"{one.start_frame / FPS:.2f}-{one.end_frame / FPS:.2f} s, {one.face_px:.0f} px"
        for one in traces
    )
