"""files -> videos: identity by content, exact duplicates, and what the container says."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.digest import file_sha256
from pipeline.engine import again
from pipeline.engine.command import DATA, execute, run_main
from pipeline.engine.optional_stages import note_named
from pipeline.engine.outcome import Outcome, Part
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.errors import NotMediaError, SourceError
from pipeline.media.probe import Probe, probe
from pipeline.params.curation import load_params
from pipeline.params.environment import environment
from pipeline.shards.place import tar_place
from pipeline.sources import Source, fingerprint, has_video_suffix, list_sources, local_copy
from pipeline.tables.rows import Video
from pipeline.tables.run_tables import table_path
from pipeline.taken_down import LIST, taken_down

TABLE = table_path(DATA, "ingest")
LOCK = Path("dvc.lock")
NO_VIDEO = ("image2", "tty", "_pipe", "gif")
"""Demuxers that make a picture of what is none: stills, and text drawn on a terminal."""
BYTES_PER_SECOND = 5e6
"""Reading slower than this counts as hanging."""


class Ingest(Stage[Source, Video]):
    """Hashes and probes one file. Source files are only read."""

    name = "ingest"
    version = "2"
    resources = Resources(memory_bytes=400_000_000)

    def item_id(self, item: Source) -> str:
        """Return the uri: two files of equal name in two folders differ in it."""
        return item.uri

    def identity(self, item: Source) -> Mapping[str, Any]:
        """Return what was listed, and size and time of the file: an unchanged one is not read."""
        listed = {k: v for k, v in asdict(item).items() if k != "location"}
        return {**listed, "file": fingerprint(item.location)}

    def deadline_s(self, item: Source) -> float:
        """Return a deadline that grows with the size of a local file."""
        path = Path(item.location)
        size = path.stat().st_size if path.is_file() else 4e9
        return 60 + size / BYTES_PER_SECOND

    def process(self, item: Source, workdir: Path) -> Sequence[Video | Reject] | Reject:
        """Return one Video, or say why there is none."""
        with local_copy(item.location) as path:
            video_id = file_sha256(path)
            try:
                found = probe(path)
            except NotMediaError:
                if has_video_suffix(item.uri):
                    raise
                return Reject("not_media", "no demuxer opens it, and its name claims nothing else")
            return _decide(_video(item, video_id, path.stat().st_size, found))


def _decide(video: Video) -> list[Video | Reject]:
    if video.container.endswith(NO_VIDEO):
        return [Reject("not_media", f"opened as {video.container}, which is no video", video)]
    if not video.video_codec:
        return [Reject("no_video", "the file has no video stream", video)]
    if not video.audio_codec:
        return [Reject("no_audio", "the file has no audio stream", video)]
    if video.num_frames < 2:
        return [Reject("still_picture", "one frame only", video)]
    return [video]


def _video(item: Source, video_id: str, size_bytes: int, found: Probe) -> Video:
    listed = {k: v for k, v in asdict(item).items() if k != "location"}
    return Video(video_id=video_id, size_bytes=size_bytes, **listed, **asdict(found))


def mark_duplicates(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Reject every file whose bytes were seen under a smaller uri."""
    first: dict[str, str] = {}
    marked = []
    for outcome in sorted(outcomes, key=lambda one: one.item_id):
        row = outcome.parts[0].row if outcome.status == "kept" else None
        original = first.setdefault(row["video_id"], outcome.item_id) if row else outcome.item_id
        if row and original != outcome.item_id:
            part = Part("rejected", "duplicate", f"same bytes as {original}", row)
            outcome = replace(outcome, status="rejected", parts=(part,))
        marked.append(outcome)
    return marked


def without_taken_down(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Reject films of takedowns.json; their rows hold nothing of them but the name.

    Raises:
        ParamsError: the list is damaged.
    """
    refused = taken_down()
    part = Part("rejected", "taken_down", f"listed in {LIST}")
    return [
        replace(one, status="rejected", parts=(part,)) if _film_of(one) in refused else one
        for one in outcomes
    ]


def _film_of(outcome: Outcome) -> str:
    row = outcome.parts[0].row
    return str(row["video_id"]) if row else ""


def main() -> None:
    """`python -m stages.ingest`, called by dvc.yaml."""
    again.begin()
    note_named()
    ask_for_absent_tars()
    if environment().source == "absent":
        require_table()
        return
    params = load_params()
    licence = params.ingest.licence
    items = [
        one if one.licence else replace(one, licence=licence)
        for one in listed(params.ingest.source)
    ]
    execute(Ingest(), items, TABLE, Video, params, finish=finish)


def require_table() -> None:
    """Say that the table stays as it is.

    Raises:
        SourceError: there is none.
    """
    if not TABLE.is_file():
        raise SourceError(f"LIPFORGE_SOURCE=absent, and no {TABLE} here; run `dvc pull`")
    if changed := changed_since_locked():
        fix = "set it back, or run where the films are"
        raise SourceError(
            f"params.yaml ingest.{changed[0]} is not what {TABLE} was made with, and "
            f"LIPFORGE_SOURCE=absent keeps that table; {fix}"
        )
    sys.stderr.write(f"ingest: LIPFORGE_SOURCE=absent: {TABLE} stays, no film is looked for\n")


def changed_since_locked() -> list[str]:
    """Return the parameters of `ingest` that differ from those in dvc.lock, if there is one."""
    if not LOCK.is_file():
        return []
    locked = yaml.safe_load(LOCK.read_text(encoding="utf-8")).get("stages", {}).get("ingest", {})
    made_with = locked.get("params", {}).get("params.yaml", {}).get("ingest", {})
    now = load_params().ingest.model_dump(mode="json")
    return sorted(name for name, value in made_with.items() if now.get(name) != value)


def ask_for_absent_tars() -> None:
    """Have `shards` and `features` run where LIPFORGE_SHARDS has changed since they did.

    DVC does not see that: the tables in data/ are the same.
    """
    index = DATA / "shards" / "index.json"
    if not index.is_file():
        return
    names = [one["name"] for one in json.loads(index.read_text(encoding="utf-8"))["shards"]]
    place = tar_place(index.parent)
    if absent := place.absent(names):
        again.ask_for(("shards", "features"), [f"{len(absent)} tars are not at their place"])


def listed(source: str) -> list[Source]:
    """List the inputs; say where there are none what can be done without them.

    Raises:
        SourceError: as `list_sources`.
    """
    try:
        return list_sources(source)
    except SourceError as error:
        if not TABLE.is_file():
            raise
        fix = f"to go on with the films of {TABLE}, none read again, set LIPFORGE_SOURCE=absent"
        raise SourceError(f"{error}; {fix}") from error


def finish(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Blank the cache keys, which hold this machine's file times; mark duplicates and refused."""
    allowed = without_taken_down([replace(outcome, key="") for outcome in outcomes])
    return mark_duplicates(allowed)


if __name__ == "__main__":
    run_main(main)
