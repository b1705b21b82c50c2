"""Options and result of dubbing a video."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.params.curation import FacesParams, ScenesParams
from trainers.dubbing.alignment_tracks import AlignmentTrack
from trainers.dubbing.face_selection import MAIN, FaceSelection
from trainers.dubbing.timeline import Longer, Shorter
from trainers.talking_face.model import SAMPLING, DubOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOptions:
    """Options of dubbing a video."""

    dub: DubOptions = field(default_factory=DubOptions)
    faces: FaceSelection = MAIN
    longer: Longer = "loop"
    shorter: Shorter = "cut"
    crf: int = 7
    """x264's quality of the output; 7 keeps 40 dB (docs/dub.md)."""
    part_seconds: float = 2.0
    """Length of a segment, and most that a killed run loses."""
    face_params: FacesParams = field(default_factory=FacesParams)
    scene_params: ScenesParams = field(default_factory=ScenesParams)

    def facts(self, taken: Collection[str] = SAMPLING) -> dict[str, Any]:
        """Return what determines the output, as JSON values.

        Args:
            taken: the sampling options that the model takes.
        """
        return {
            **{name: getattr(self.dub, name) for name in SAMPLING if name in taken},
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
class DubResult:
    """Facts about the output that was written."""

    num_frames: int
    dubbed_frames: int
    """With at least one dubbed face; the others are copied from the source."""
    resumed_frames: int
    """Reused from an interrupted run."""
    faces: Sequence[AlignmentTrack]
    selected: Sequence[AlignmentTrack]
    sound_codec: str
    sound_copied: bool
    sound_exact: bool
    """False only if samples of more than 24 bits were rounded."""
    sound_clipped: int
    """Samples beyond full scale, of all channels, that FLAC has at full scale."""
