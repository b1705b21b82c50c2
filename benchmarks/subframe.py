"""How exactly the offset is corrected: known shifts of a part of a frame, on the clips of a run.

python -m benchmarks.subframe            in the folder of a run, after `dvc repro report`

The sound of every clip that was kept as a whole is made earlier by a known part of a frame, in
samples; all clips of a film are judged together, as in `stretches`. The residual is what the answer
moved by, less the shift. Also printed: how far the samples' second scores differ within a film.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA
from pipeline.judge.film import FilmClip, SyncedFrames, judge_film
from pipeline.judge.landmark.judge import LandmarkJudge
from pipeline.judge.landmark.weights import load_evidence
from pipeline.media.clip_reader import read_arrays, read_audio_int16
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import FPS, SAMPLES_PER_FRAME, Clip, Sample, Selected
from pipeline.tables.run_tables import RunTables

SHIFTS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
LIMIT_MS = 10.0


class FilmFiles:
    """The whole clips of one film that were kept, read once."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        files = [ClipFiles.of(clip, open_cache()) for clip in clips]
        self.starts = [clip.start_frame for clip in clips]
        self.landmarks = [read_arrays(one.landmarks, ("landmarks",))["landmarks"] for one in files]
        self.sounds = [read_audio_int16(one.audio) for one in files]

    def offsets(self, judge: LandmarkJudge, shift: float) -> list[float | None]:
        """Return each clip's offset with its sound `shift` frames earlier."""
        clips = [
            FilmClip(start, len(points), judge.score(points, _earlier(sound, shift)).distances)
            for start, points, sound in zip(self.starts, self.landmarks, self.sounds, strict=True)
        ]
        return [_longest(stretches) for stretches in judge_film(clips, load_evidence())]


def _earlier(sound: NDArray[np.int16], shift: float) -> NDArray[np.int16]:
    count = round(SAMPLES_PER_FRAME * shift)
    return np.pad(sound[count:], (0, count))


def _longest(stretches: Iterable[SyncedFrames]) -> float | None:
    found = [one for one in stretches if one.kind == "in_sync"]
    longest = max(found, key=lambda one: one.end - one.start, default=None)
    return None if longest is None else longest.offset_frames


def whole_clips(tables: RunTables) -> dict[str, list[Clip]]:
    """Return video_id -> its clips that were kept as a whole."""
    rows = tables.rows("select", Selected)
    kept = {row.source_clip_id for row in rows if row.clip_id == row.source_clip_id}
    films: dict[str, list[Clip]] = defaultdict(list)
    for clip in tables.rows("faces", Clip):
        if clip.clip_id in kept:
            films[clip.video_id].append(clip)
    return films


def residuals_ms(films: Sequence[FilmFiles]) -> dict[float, list[float]]:
    """Return shift -> |moved by - shift| of every clip, in milliseconds."""
    judge = LandmarkJudge.load()
    found: dict[float, list[float]] = {shift: [] for shift in SHIFTS}
    for film in films:
        before = film.offsets(judge, 0.0)
        for shift, errors in found.items():
            pairs = zip(before, film.offsets(judge, shift), strict=True)
            errors.extend(
                abs(now - then - shift) * 1000 / FPS
                for then, now in pairs
                if then is not None and now is not None
            )
    return found


def main() -> None:
    """Print the table."""
    tables = RunTables(DATA)
    films = [FilmFiles(clips) for _, clips in sorted(whole_clips(tables).items())]
    table = Table("shift", "clips", "median ms", "95 % ms", "largest ms", f"over {LIMIT_MS:g} ms")
    for shift, errors in residuals_ms(films).items():
        numbers = (np.median(errors), np.quantile(errors, 0.95), max(errors))
        over = sum(error > LIMIT_MS for error in errors)
        table.add_row(f"{shift:g}", str(len(errors)), *(f"{n:.1f}" for n in numbers), str(over))
    Console().print(table)
    again: dict[str, list[float]] = defaultdict(list)
    for sample in tables.rows("shards", Sample):
        again[sample.video_id].append(sample.rescored_offset_frames)
    spread = [float(np.std(values)) for values in again.values() if len(values) > 1]
    Console().print(
        f"second scores: standard deviation within {len(spread)} films with several samples "
        f"{max(spread, default=0.0):.2f} frames at most, {np.mean(spread or [0.0]):.2f} on average"
    )


if __name__ == "__main__":
    main()
