"""clips -> sync: the judge's offset, confidence, distance and curve. Measures, decides nothing."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.cache import open_cache
from pipeline.clip_files import ClipFiles, ClipStage
from pipeline.command import DATA, execute, run_main
from pipeline.errors import DecodeError, UnreadableError
from pipeline.funnel import table_path
from pipeline.judge.curve import JudgeResult
from pipeline.judge.landmark import LandmarkJudge, weights_sha256
from pipeline.judge.points import SCHEMAS
from pipeline.manifest import read_rows
from pipeline.media.flac import read_flac
from pipeline.params import SyncParams, load_params
from pipeline.rows import Clip, SyncScore
from pipeline.stage import Reject

TABLE = table_path(DATA, "sync")


class Sync(ClipStage[SyncScore]):
    """Scores the landmarks that `faces` stored: no second decode of the video."""

    name: ClassVar[str] = "sync"
    version: ClassVar[str] = "1"

    def __init__(self, params: SyncParams) -> None:
        self.params = params

    def cache_params(self) -> Mapping[str, Any]:
        """Return the judge's name."""
        return self.params.model_dump()

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the bundled judge."""
        return {"landmark_judge.safetensors": weights_sha256()}

    def setup(self) -> None:
        """Load the judge."""
        self.judge = LandmarkJudge.load()

    def process(self, item: ClipFiles, workdir: Path) -> Sequence[SyncScore | Reject] | Reject:
        """Judge one clip; writes `<clip_id>.npz` with `distances`, float32 (windows, 31).

        A pair whose sound lies outside of the clip is NaN there.

        Raises:
            MediaError: a file of the clip cannot be read, or holds no frame or no sound.
        """
        if item.clip.landmark_schema not in SCHEMAS:
            return Reject("judge_cannot_read_landmarks", f"schema {item.clip.landmark_schema!r}")
        landmarks, audio = _read_landmarks(item.landmarks), _read_audio(item.audio)
        try:
            result = self.judge.score(landmarks, audio)
        except ValueError as error:
            raise DecodeError(f"the clip cannot be judged: {error}") from error
        distances = result.distances.astype(np.float32)
        np.savez(workdir / f"{item.clip.clip_id}.npz", distances=distances)
        return [_row(item.clip.clip_id, self.judge.name, result)]


def _row(clip_id: str, judge: str, result: JudgeResult) -> SyncScore:
    return SyncScore(
        clip_id=clip_id,
        judge=judge,
        offset_frames=result.offset_frames,
        offset_subframe=result.offset_subframe,
        confidence=result.confidence,
        min_distance=result.min_distance,
        curve=[float(distance) for distance in result.curve],
    )


def _read_landmarks(path: Path) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return np.asarray(stored["landmarks"])
    except OSError as error:
        raise UnreadableError(f"the landmark file cannot be read: {error}") from error
    except (KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DecodeError(f"the landmark file cannot be used: {error}") from error


def _read_audio(path: Path) -> NDArray[np.float32]:
    try:
        return read_flac(path)
    except OSError as error:
        raise UnreadableError(f"the sound cannot be read: {error}") from error


def main() -> None:
    """`python -m stages.sync`, called by dvc.yaml."""
    params, cache = load_params(), open_cache()
    clips = read_rows(table_path(DATA, "faces"), Clip)
    items = [ClipFiles.of(clip, cache) for clip in clips]
    execute(Sync(params.sync), items, TABLE, SyncScore, params)


if __name__ == "__main__":
    run_main(main)
