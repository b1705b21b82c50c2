"""What describes the demo corpus: films, shots, actors, and how each must end."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.demo.film_writer import Format
from pipeline.demo.motion import Pose
from pipeline.demo.occluders import Occluder
from pipeline.demo.portrait import Sitter
from pipeline.demo.truth import FaultKind, LabelKind
from pipeline.tables.rows import FPS

Status = Literal["kept", "rejected", "failed"]


def frame_at(time_s: float) -> int:
    """Return the frame of the 25 fps grid that is shown at a time, which may be a rounded one."""
    return int(time_s * FPS + 1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One face: portrait, place in the picture, text and voice."""

    sitter: Sitter
    text: str = ""
    """Empty: the mouth stays still."""
    voice: str = "en-us+f3"
    words_per_minute: int = 150
    heard: bool = True
    """False: the mouth moves to the text, but the sound does not contain it."""
    effort: float = 1.0
    """Scale of the mouth's movement: under 1 for a listener's small movements."""
    face_px: float = 115.0
    """From the middle of the eyes to the chin."""
    centre: tuple[float, float] = (0.5, 0.48)
    mirrored: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pose: Pose = field(default_factory=Pose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A piece of film without a cut: faces side by side, or none."""

    actors: tuple[Actor, ...] = ()
    voice_over: Actor | None = None
    """Speaker outside of the picture. None: the sound is the first actor's with `heard`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong in one stretch of a film, [start, end) in frames of the 25 fps grid.

    `foreign_sound`, `other_person`: sound or picture are those of the film's `other` shot.
    `lost_sound`: the sound of these frames is cut out, what follows comes so much too early.
    `dissolve`, `fade`: from one of two shots to the next, whose cut lies inside.
    `frozen`: the picture stands, the sound goes on. `covered_mouth`: a hand lies on it.
    `hole`: no packet of either stream. `damaged`: bits flipped in the packets of `damaged_frames`.
    `clock_restarts`: the timestamps of both streams begin anew at `start`.
    `second_picture`, `second_sound`: the film's is the second track and the default, the first
    one is that of `other`.
    `occluder`: a hand or a microphone, before the mouth or beside it. `jump_cuts`: frames are
    missing at `jumps`.
    """

    kind: FaultKind | LabelKind
    start: int = 0
    end: int | None = None
    """None: where the film ends."""
    damaged_frames: int = 8
    occluder: Occluder | None = None
    jumps: tuple[tuple[int, int], ...] = ()
    """(frame of the film, frames missing before it), ascending."""

    @property
    def missing_frames(self) -> int:
        """By how much the film is shorter than what was recorded."""
        return sum(missing for _, missing in self.jumps)

    def missing_before(self, frame: int) -> int:
        """Return how many frames of what was recorded are missing before a frame of the film."""
        return sum(missing for at, missing in self.jumps if at <= frame)

    def holds(self, frame: int) -> bool:
        """Return whether a frame lies in the stretch."""
        return self.start <= frame and (self.end is None or frame < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One file that is rendered."""

    uri: str
    kind: str
    shots: tuple[Shot, ...]
    how: Format = field(default_factory=Format)
    size: tuple[int, int] = (480, 360)
    faults: tuple[str, ...] = ()
    offset_frames: int = 0
    """Positive: the sound comes early."""
    blur_px: float = 0.0
    keep: bool = True
    """Whether clips of its speaking faces must be kept."""
    muted: bool = False
    """Nothing is heard of what is said: nothing can be kept of it, and only labels of the picture
    are measured on it."""
    fault: Fault | None = None
    other: Shot | None = None
    """Another picture or sound, of which the fault takes some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenFile:
    """One file that is made from the bytes of another, or of none."""

    uri: str
    kind: str
    source: str = ""
    """uri of the film whose bytes are taken."""
    share: float = 1.0
    """Share of those bytes, from the start."""
    content: bytes = b""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a stage must end for a file; any of `reasons`, if there are some."""

    status: Status
    reasons: tuple[str, ...] = ()


KEPT = Ending("kept")
NO_CLIP = Ending("rejected", ("no_face", "track_too_short"))
ENDINGS: dict[str, dict[str, Ending]] = {
    "no_face": {"ingest": KEPT, "scenes": KEPT, "faces": NO_CLIP},
    "no_audio": {"ingest": Ending("rejected", ("no_audio",))},
    "duplicate": {"ingest": Ending("rejected", ("duplicate",))},
    "truncated": {"ingest": Ending("failed", ("not_media", "decode_error"))},
    "zero_bytes": {"ingest": Ending("failed", ("empty_file",))},
    "not_media": {"ingest": Ending("failed", ("not_media",))},
    "clock_restarts": {},
}
"""By kind; every other kind passes ingest and scenes."""
MAY_FAIL: dict[str, tuple[str, ...]] = {"clock_restarts": ("decode_error",)}
"""By kind: the line may also refuse the file, if it says so with one of these reasons."""
TALKING = {"ingest": KEPT, "scenes": KEPT, "faces": KEPT}
UNUSABLE = {"ingest": KEPT, "scenes": KEPT}
"""For films whose face may be lost in `faces` as well as in `select`."""
