"""The page on which people label: every drawn moment as a small film, nothing about limits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from pipeline.audit.draw import Drawn, DrawnForRule, mixed, moment_id
from pipeline.audit.key_file import Key, make_key
from pipeline.errors import MediaError
from pipeline.html.templates import html_environment
from pipeline.player.on_page import FilmOnPage, PageRoom, script
from pipeline.player.small_film import Excerpt, small_film

OpenArtifact = Callable[[str, str], Path]
"""Cache key and file name -> local path, as `Cache.artifact_path`."""
_SCRIPT = Path(__file__).with_name("label.js")


@dataclass(frozen=True, slots=True)
class LabelPage:
    """The page, its key, and what is not on it."""

    html: str
    key: Key
    films: int
    no_room: int
    no_files: int
    """Moments whose clip is not in the item cache, or damaged there."""


def label_page(
    drawn: Sequence[DrawnForRule], seed: int, megabytes: float, open_artifact: OpenArtifact
) -> LabelPage:
    """Make the page. The same draw and clips give the same bytes.

    Args:
        megabytes: what the films may take of the page; those that come last in the mixed order,
            which knows nothing of limits, are left out first.
    """
    room, films, left_out = PageRoom(megabytes), list[tuple[str, FilmOnPage]](), list[str]()
    for one in mixed(drawn, seed):
        name = moment_id(seed, one)
        film = _film(one, room, open_artifact)
        if film is None:
            left_out.append(name)
        else:
            films.append((name, film))
    key = make_key(drawn, seed, left_out)
    environment = html_environment("pipeline.audit")
    template = environment.get_template("label.html.j2")
    html = template.render(films=films, draw=key.draw, script=script(_SCRIPT))
    return LabelPage(html, key, len(films), room.refused, len(left_out) - room.refused)


def _film(one: Drawn, room: PageRoom, open_artifact: OpenArtifact) -> FilmOnPage | None:
    try:
        mp4, flac = (
            open_artifact(one.artifact, f"{one.clip_id}.{suffix}") for suffix in ("mp4", "flac")
        )
        return room.place(small_film(Excerpt(mp4, flac, one.start, one.end, one.lead_frames)))
    except (OSError, av.error.FFmpegError, MediaError):
        return None
