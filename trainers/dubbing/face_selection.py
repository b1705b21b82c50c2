"""Which faces of a video are dubbed."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pipeline.errors import SourceError
from pipeline.tables.rows import FPS
from trainers.dubbing.alignment_tracks import AlignmentTrack

ALL: Literal["all"] = "all"
MAIN: Literal["main"] = "main"
MIN_SIZE_SHARE = 0.5
"""Smallest size, relative to the main face, of a face that replaces it in the same shot."""

FaceSelection = Literal["main", "all"] | tuple[int, ...]
"""`main`, `all`, or face numbers."""


def select_faces(
    tracks: Sequence[AlignmentTrack], selection: FaceSelection
) -> list[AlignmentTrack]:
    """Return the selected faces, sorted by number.

    `main` selects in every shot the face with the largest area summed over time, and for frames
    without it the next one that is at least half as large, so that no frame has two of them.

    Raises:
        SourceError: there is no face of that number.
    """
    if selection == ALL:
        return list(tracks)
    if isinstance(selection, str):
        scenes = sorted({one.scene for one in tracks})
        return [
            face for scene in scenes for face in _main(one for one in tracks if one.scene == scene)
        ]
    known = {one.number: one for one in tracks}
    if unknown := sorted(set(selection) - set(known)):
        raise SourceError(f"--face {unknown[0]}: no such face; there are:\n{face_listing(tracks)}")
    return [known[number] for number in sorted(set(selection))]


def _main(tracks: Iterable[AlignmentTrack]) -> list[AlignmentTrack]:
    ranked = sorted(tracks, key=lambda one: (-one.total_area, one.number))
    taken: list[AlignmentTrack] = []
    for one in ranked:
        large = one.face_px >= MIN_SIZE_SHARE * ranked[0].face_px
        if large and not any(_overlap_in_time(one, other) for other in taken):
            taken.append(one)
    return sorted(taken, key=lambda one: one.number)


def _overlap_in_time(one: AlignmentTrack, other: AlignmentTrack) -> bool:
    return one.start_frame < other.end_frame and other.start_frame < one.end_frame


def face_listing(tracks: Sequence[AlignmentTrack], selected: Sequence[AlignmentTrack] = ()) -> str:
    """Return one line per face: number, shot, time, size; a star marks the selected ones."""
    marked = {one.number for one in selected}
    return "\n".join(
        f"{'*' if one.number in marked else ' '} face {one.number}: shot {one.scene}, "
        f"{one.start_frame / FPS:.2f}-{one.end_frame / FPS:.2f} s, {one.face_px:.0f} px"
        for one in tracks
    )
