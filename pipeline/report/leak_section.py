"""The section on the geometry leak: what the crops of accepted clips tell about the mouth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import MediaError
from pipeline.faces.schemas import schema_named
from pipeline.leak.geometry import PlacedClip
from pipeline.leak.left_out import LIMIT, GeometryLeak, geometry_leak
from pipeline.media.clip_reader import read_arrays
from pipeline.report.reported_clips import ReportedClip
from pipeline.report.shown_clips import OpenArtifact, choose_clips

MOST_CLIPS = 200
"""Read for the figure, spread over the sources; each costs 20 ms."""
SHOWN_SOURCES = 5


@dataclass(frozen=True, slots=True)
class LeakSection:
    """The whole section."""

    leak: GeometryLeak | None
    """None: fewer than two sources, so no honest figure."""
    limit: float
    clips: int
    unreadable: int
    """Chosen clips whose files left the cache."""
    shown_sources: int = SHOWN_SOURCES


def leak_section(clips: Sequence[ReportedClip], open_artifact: OpenArtifact) -> LeakSection:
    """Measure the leak on at most MOST_CLIPS accepted clips."""
    accepted = (clip for clip in clips if clip.ending == "accepted")
    chosen = choose_clips(accepted, lambda clip: clip.uri, MOST_CLIPS)
    read: list[str] = []
    leak = geometry_leak(_readable(chosen, open_artifact, read))
    return LeakSection(leak, LIMIT, len(read), len(chosen) - len(read))


def _readable(
    clips: Sequence[ReportedClip], open_artifact: OpenArtifact, read: list[str]
) -> Iterator[PlacedClip]:
    """Yield the clips that can be read, one in memory at a time; their ids go to `read`."""
    for one in clips:
        try:
            placed = _placed(one, open_artifact)
        except (OSError, MediaError):
            continue
        read.append(one.clip_id)
        yield placed


def _placed(one: ReportedClip, open_artifact: OpenArtifact) -> PlacedClip:
    path = open_artifact(one.clip["artifact"], f"{one.clip_id}.npz")
    arrays = read_arrays(path, ("landmarks", "matrices"))
    schema = schema_named(str(one.clip["landmark_schema"]))
    part = slice(one.first_frame, one.first_frame + int(one.clip["num_frames"]))
    points = schema.checked(arrays["landmarks"][part])
    return PlacedClip(one.uri, schema, points, arrays["matrices"][part], int(one.clip["crop_px"]))
