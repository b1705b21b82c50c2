"""One clip with the local paths of its files: the input of every stage that measures clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.engine.cache import Cache
from pipeline.engine.stage import Stage
from pipeline.tables.rows import FPS, Clip

Out = TypeVar("Out")


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


class ClipStage(Stage[ClipFiles, Out]):
    """A stage that measures one clip after the other."""

    def item_id(self, item: ClipFiles) -> str:
        """Return the clip's id."""
        return item.clip.clip_id

    def identity(self, item: ClipFiles) -> Mapping[str, Any]:
        """Return the clip's id and the cache key of its files, which names their content."""
        return item.identity()

    def deadline_s(self, item: ClipFiles) -> float:
        """Return a minute, and a second per second of clip: a hundred times what it takes."""
        return 60.0 + item.clip.num_frames / FPS

    def artifacts(self, item: ClipFiles) -> Sequence[tuple[str, str]]:
        """Return the clip's files."""
        return item.artifacts()
