"""Films as data URLs in a page, up to a number of bytes; the script that moves their timelines."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pipeline.player.small_film import FILM_PX, SmallFilm

_SCRIPT = Path(__file__).with_name("player.js")
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class FilmOnPage:
    """A film as the template of a player wants it."""

    uri: str
    """`data:video/mp4;base64,...`"""
    px: int = FILM_PX
    """Width and height."""


class PageRoom:
    """What films may still take of a page."""

    def __init__(self, megabytes: float) -> None:
        self.left = round(megabytes * MEGABYTE)
        self.refused = 0
        """Films that found no room."""

    def place(self, film: SmallFilm) -> FilmOnPage | None:
        """Return the film as a data URL, or None, counted, where it does not fit any more."""
        uri = "data:video/mp4;base64," + base64.b64encode(film.mp4).decode("ascii")
        if len(uri) > self.left:
            self.refused += 1
            return None
        self.left -= len(uri)
        return FilmOnPage(uri)


@dataclass(frozen=True, slots=True)
class Script:
    """A script for a page, and what the page's content security policy must say to let it run."""

    text: Markup
    source: str
    """`'sha256-...'`"""


def script(path: Path = _SCRIPT) -> Script:
    """Return a script of ours, by default that of the players."""
    text = path.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Script(Markup(text), f"'sha256-{digest}'")
