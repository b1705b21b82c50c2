"""A film, or a part of a long one, as the source of pictures and sound for its clips."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import digest
from pipeline.engine.cache import Cache
from pipeline.media.audio import decode_audio
from pipeline.media.frames import GridFrame, film_frames
from pipeline.media.transitions import Span
from pipeline.media.versions import media_versions
from pipeline.tables.rows import SAMPLES_PER_FRAME, Video

SOUND = "sound.raw"
"""int16 at 16 kHz mono."""
SOUND_VERSION = "2"
"""Bump on purpose when the samples change, with the version of the stage `faces`."""


@dataclass(frozen=True, slots=True)
class FilmSource:
    """Which frames of which video are looked at."""

    video: Video
    span: Span | None = None
    """[first, end) of the grid frames; None: all."""
    cache: Cache | None = None
    """Where the sound is kept that the spans of one film share."""

    @property
    def first_frame(self) -> int:
        """Return the first grid frame."""
        return self.span[0] if self.span else 0

    def frames(self, path: Path) -> Iterator[GridFrame]:
        """Yield the grid frames, as `film_frames` does."""
        return film_frames(path, span=self.span)

    def sound(self, path: Path, scratch: Path) -> NDArray[np.int16]:
        """Return the sound of the whole film, (N,), mapped from a file.

        Raises:
            DecodeError: it does not decode.
            StorageError: it cannot be stored.
        """
        if self.span is None or self.cache is None:
            return self._decoded(path, scratch / SOUND)
        key = self.sound_key()
        if self.cache.lookup(key) is None:
            with self.cache.workdir() as folder:
                self._decoded(path, folder / SOUND)
                self.cache.commit(key, {"stage": "faces", "status": "kept", "parts": []}, folder)
        return np.memmap(self.cache.artifact_path(key, SOUND), np.int16, "r")

    def _decoded(self, path: Path, out: Path) -> NDArray[np.int16]:
        length = self.video.num_frames * SAMPLES_PER_FRAME
        return decode_audio(path, self.video.video_start_s, length, out)

    def sound_key(self) -> str:
        """Return the cache key of the sound of a long film."""
        return digest(self._sound_identity())

    def _sound_identity(self) -> Mapping[str, Any]:
        return {
            "what": "sound of a film at 16 kHz",
            "video_id": self.video.video_id,
            "video_start_s": self.video.video_start_s,
            "num_frames": self.video.num_frames,
            "version": SOUND_VERSION,
            "versions": dict(media_versions()),
        }
