"""clips -> sync: the judge's offset, confidence, distance and curve. Measures, decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.engine.cache import Cache, open_cache
from pipeline.engine.command import DATA, run_main
from pipeline.engine.stage import Reject, Resources, Stage
from pipeline.engine.streamed import execute_streamed
from pipeline.errors import DecodeError
from pipeline.faces.schemas import SCHEMAS
from pipeline.judge.choice import Choice, choose
from pipeline.judge.curve import JudgeResult
from pipeline.judge.syncnet.crops import detector_boxes, render_crops
from pipeline.media.clip_reader import read_arrays, read_audio
from pipeline.media.excerpt import frames_between
from pipeline.media.samples import as_int16
from pipeline.media.spans import reading_s
from pipeline.params.curation import load_params
from pipeline.sources import local_copy, locations
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import FPS, Clip, SyncScore, Video
from pipeline.tables.run_tables import RunTables, table_path

TABLE = table_path(DATA, "sync")


@dataclass(frozen=True, slots=True)
class ClipToJudge:
    """A clip and, for a judge that reads pictures, the video it was taken from."""

    files: ClipFiles
    video: Video | None = None
    location: str = ""
    """A local path or an fsspec URL of the video."""


LANDMARKS = Resources(memory_bytes=400_000_000)
PICTURES = Resources(memory_bytes=2_000_000_000, gpus=0.125)
"""A worker decodes about an eighth of the pictures that a card can judge."""


class Sync(Stage[ClipToJudge, SyncScore]):
    """Scores every clip with one judge.

    `landmark` reads the stored landmarks. `syncnet` decodes the clip's frames of the video again,
    because SyncNet's crop shows more of the face than the clip does.
    """

    name: ClassVar[str] = "sync"
    version: ClassVar[str] = "4"

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.resources = PICTURES if choice.judge == "syncnet" else LANDMARKS

    def item_id(self, item: ClipToJudge) -> str:
        """Return the clip's id."""
        return item.files.clip.clip_id

    def identity(self, item: ClipToJudge) -> Mapping[str, Any]:
        """Return the clip's id, which names video and frames, and the key of its files."""
        return item.files.identity()

    def artifacts(self, item: ClipToJudge) -> Sequence[tuple[str, str]]:
        """Return the clip's landmarks and sound."""
        return item.files.artifacts()

    def cache_params(self) -> Mapping[str, Any]:
        """Return the judge that scores and why it is not another; no path, no device."""
        return self.choice.cache_params()

    def weights(self) -> Mapping[str, str]:
        """Return the digest of the judge's weights."""
        return self.choice.weights()

    def own_weights(self) -> Mapping[str, Path]:
        """Return the judge's weights if the user named them."""
        return self.choice.own_weights()

    def deadline_s(self, item: ClipToJudge) -> float:
        """Return a hundred times what it takes, fetching and decoding the video included."""
        clip_s = item.files.clip.num_frames / FPS
        if item.video is None:
            return 60 + clip_s
        return 300 + 100 * clip_s + reading_s(item.video, item.video.num_frames)

    def setup(self) -> None:
        """Load the judge and keep OpenCV on one thread."""
        cv2.setNumThreads(1)
        self.judge = self.choice.load()

    def close(self) -> None:
        """Drop the judge, and with it the GPU memory it holds."""
        self.judge = None

    def process(self, item: ClipToJudge, workdir: Path) -> Sequence[SyncScore | Reject] | Reject:
        """Judge one clip; writes `<clip_id>.npz` with `distances`, float32 (windows, 31).

        A pair whose sound lies outside of the clip is NaN there, unless the mode is `reference`.

        Raises:
            MediaError: a file of the clip or its video cannot be read, or it holds no frame or no
                sound.
        """
        clip = item.files.clip
        if clip.landmark_schema not in SCHEMAS:
            return Reject("judge_cannot_read_landmarks", f"schema {clip.landmark_schema!r}")
        audio = read_audio(item.files.audio)
        try:
            if self.choice.judge == "landmark":
                arrays = read_arrays(item.files.landmarks, ("landmarks",))
                result = self.judge.score(arrays["landmarks"], audio)
            else:
                result = self._score_pictures(item, audio)
        except ValueError as error:
            raise DecodeError(f"the clip cannot be judged: {error}") from error
        distances = result.distances.astype(np.float32)
        np.savez(workdir / f"{clip.clip_id}.npz", distances=distances)
        return [_row(clip.clip_id, self.choice, result)]

    def _score_pictures(self, item: ClipToJudge, audio: NDArray[np.float32]) -> JudgeResult:
        assert item.video is not None, "clips_to_judge() adds the video where the judge needs it"
        clip = item.files.clip
        arrays = read_arrays(item.files.landmarks, ("boxes",))
        boxes = detector_boxes(arrays["boxes"], clip.landmark_schema)
        with local_copy(item.location) as path:
            frames = frames_between(path, item.video, clip.start_frame, clip.end_frame)
            crops = render_crops(frames, boxes)
            scored: JudgeResult = self.judge.score(crops, as_int16(audio), mode=self.choice.mode)
        return scored


def _row(clip_id: str, choice: Choice, result: JudgeResult) -> SyncScore:
    return SyncScore(
        clip_id=clip_id,
        **choice.score_fields(result),
    )


def clips_to_judge(
    choice: Choice, tables: RunTables, cache: Cache, source: str
) -> list[ClipToJudge]:
    """List the clips; only a judge that reads pictures gets the location of their videos."""
    files = [ClipFiles.of(clip, cache) for clip in tables.rows("faces", Clip)]
    without = [replace(one, video=None) for one in files]  # the aligned picture is not read
    if choice.judge == "landmark":
        return [ClipToJudge(one) for one in without]
    videos = {one.video_id: one for one in tables.rows("ingest", Video)}
    needed = [videos[video_id] for video_id in sorted({one.clip.video_id for one in files})]
    where = locations(source, [video.uri for video in needed])
    return [
        ClipToJudge(one, videos[one.clip.video_id], where[videos[one.clip.video_id].uri])
        for one in without
    ]


def main() -> None:
    """`python -m stages.sync`, called by dvc.yaml."""
    params = load_params()
    choice = choose(params.sync)
    items = clips_to_judge(choice, RunTables(DATA), open_cache(), params.ingest.source)
    execute_streamed(Sync(choice), items, TABLE, SyncScore, params)


if __name__ == "__main__":
    run_main(main)
