"""One clip with the local paths of its files: the input of every stage that measures clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.cache import Cache
from pipeline.tables.rows import Clip


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFiles:
    """A row of `clips` and where its files lie on this machine."""

    clip: Clip
    video: Path | None
    """`<clip_id>.mp4`: the aligned face, 25 fps; None where a stage needs no picture."""
    landmarks: Path
    """`<clip_id>.npz`: `landmarks` (T, L, 3) source px, `matrices` (T, 2, 3) source px to crop
    px, `scores` (T,), `boxes` (T, 4), `interpolated` (T,)."""
    audio: Path
    """`<clip_id>.flac`: 16 kHz mono."""

    @classmethod
    def of(cls, clip: Clip, cache: Cache) -> "ClipFiles":
        """Say where the clip's files lie; they need not be fetched yet."""
        video, landmarks, audio = (
            cache.place(clip.artifact, f"{clip.clip_id}.{suffix}")
            for suffix in ("mp4", "npz", "flac")
        )
        return cls(clip=clip, video=video, landmarks=landmarks, audio=audio)

    def identity(self) -> Mapping[str, Any]:
        """Return what names the content; the paths do not."""
        return {"clip_id": self.clip.clip_id, "artifact": self.clip.artifact}

    def artifacts(self) -> list[tuple[str, str]]:
        """Return (cache key, file name) of the files, for `Stage.artifacts`."""
        paths = (self.video, self.landmarks, self.audio)
        return [(self.clip.artifact, path.name) for path in paths if path is not None]
