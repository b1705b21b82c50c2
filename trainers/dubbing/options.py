"""How a video is dubbed, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.params.curation import FacesParams, ScenesParams
from trainers.dubbing.choosing import MAIN, Choice
from trainers.dubbing.face_tracks import FaceTrace
from trainers.dubbing.generate import DubOptions
from trainers.dubbing.timeline import Longer, Shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """How a video is dubbed."""

    dub: DubOptions = field(default_factory=DubOptions)
    faces: Choice = MAIN
    longer: Longer = "loop"
    shorter: Shorter = "cut"
    crf: int = 7
    """x264's quality of the output; 7 keeps 40 dB (docs/dub.md)."""
    part_seconds: float = 2.0
    """What a killed run loses at most."""
    face_params: FacesParams = field(default_factory=FacesParams)
    scene_params: ScenesParams = field(default_factory=ScenesParams)

    def facts(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "steps": self.dub.steps,
            "guidance": self.dub.guidance,
            "temperature": self.dub.temperature,
            "overlap_frames": self.dub.overlap_frames,
            "seed": self.dub.seed,
            "precision": self.dub.precision,
            "faces": self.faces if isinstance(self.faces, str) else list(self.faces),
            "longer": self.longer,
            "shorter": self.shorter,
            "crf": self.crf,
            "part_seconds": self.part_seconds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Dubbed:
    """What became of it."""

    num_frames: int
    painted_frames: int
    """With at least one dubbed face; the others are the video's."""
    resumed_frames: int
    """Taken over from an interrupted run."""
    faces: Sequence[FaceTrace]
    chosen: Sequence[FaceTrace]
    sound_codec: str
    sound_copied: bool
    sound_exact: bool
    """False only where numbers of more than 24 bits had to be rounded."""
