"""A rendered film's file gets the fault that its bytes are to have."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.demo.file_faults import damage, make_hole, put_track_first, restart_clock
from pipeline.demo.film_rendering import PreparedFilm
from pipeline.demo.film_writer import Format, write_film
from pipeline.demo.scenario import Fault

_IN_PLACE: dict[str, Callable[[Path, Fault, Format], None]] = {
    "hole": make_hole,
    "damaged": damage,
    "clock_restarts": restart_clock,
}


def spoil(path: Path, prepared: PreparedFilm) -> None:
    """Give the file of a film its fault, if it is one of files and not of picture or sound."""
    film, fault = prepared.film, prepared.film.fault
    if fault is None:
        return
    if fault.kind in _IN_PLACE:
        _IN_PLACE[fault.kind](path, fault, film.how)
    elif fault.kind in ("second_picture", "second_sound"):
        other = _write_other_track(path, prepared, fault.kind == "second_picture")
        put_track_first(path, other, film.how)
        other.unlink()


def _write_other_track(path: Path, prepared: PreparedFilm, is_picture: bool) -> Path:
    """Encode the picture or the sound of the film's `other` shot alone, beside the film."""
    other, how = path.with_name(f".{path.name}.other"), prepared.film.how
    frames = prepared.other_frames() if is_picture else ()
    sound = prepared.sound() if is_picture else prepared.other_sound()
    write_film(other, frames, sound, replace(how, audio_codec="") if is_picture else how)
    return other
