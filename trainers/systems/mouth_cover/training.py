"""Trains the bundled classifier of covered mouths. One command, one seed, the same weights.

python -m trainers.systems.mouth_cover.training --clips data/faces/clips.parquet \
    --leave-out hand_over_mouth.mp4

The clips are of the `litert` backend. Trains on all of them but those left out (where mouths are
covered for real), then without a fifth of the sources and a group of kinds of cover in turn; what
these networks say of the sources and kinds left out is printed.
"""

import logging
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer

from pipeline.engine.cache import open_cache
from pipeline.engine.manifest import read_rows
from pipeline.quality.cover import WEIGHTS_PATH, CoverDetector
from pipeline.tables.clip_files import ClipFiles
from pipeline.tables.rows import Clip, Video
from trainers.systems.mouth_cover.evaluation import (
    KIND_GROUPS,
    Floats,
    area_under_curve,
    cover_of_clip,
    kind_results,
    longest_runs,
)
from trainers.systems.mouth_cover.faces import faces_of
from trainers.systems.mouth_cover.files import save
from trainers.systems.mouth_cover.items import PLAIN, CoverSample, samples_of
from trainers.systems.mouth_cover.network import CoverNetwork
from trainers.systems.mouth_cover.task import CoverFitConfig, fit

Judged = tuple[CoverSample, float]
"""A sample, and the probability that its mouth is covered."""

logger = logging.getLogger(__name__)


def fit_on(samples: Sequence[CoverSample], config: CoverFitConfig, seed: int) -> CoverNetwork:
    """Train one network on samples."""
    planes = np.stack([sample.planes for sample in samples])
    return fit(planes, np.array([sample.covered for sample in samples]), config, seed)


def fold_of(source: str) -> int:
    """Return which fold a source is held out in."""
    return zlib.crc32(source.encode()) % len(KIND_GROUPS)


def cross_validate(
    samples: Sequence[CoverSample], config: CoverFitConfig, seed: int, folder: Path
) -> list[CoverDetector]:
    """Hold out a fifth of the sources and a group of kinds at a time; return every fold's detector.

    Printed: what is said of the sources held out, of kinds that were trained on and of the others.
    """
    detectors, known, unknown = [], list[Judged](), list[Judged]()
    for fold, kinds in enumerate(KIND_GROUPS):
        trained = [s for s in samples if fold_of(s.source) != fold and s.kind not in kinds]
        tested = [s for s in samples if fold_of(s.source) == fold]
        detectors.append(_detector(fit_on(trained, config, seed), folder / f"fold{fold}"))
        judged = list(zip(tested, _probabilities(detectors[fold], tested), strict=True))
        known += [one for one in judged if one[0].kind not in kinds]
        unknown += [one for one in judged if one[0].kind in kinds or one[0].kind == PLAIN]
        logger.info("fold %d of %d", fold + 1, len(KIND_GROUPS))
    _print("sources held out", known)
    _print("sources and kinds held out", unknown)
    return detectors


def _detector(network: CoverNetwork, path: Path) -> CoverDetector:
    save(path, network)
    return CoverDetector(path)


def _probabilities(detector: CoverDetector, samples: Sequence[CoverSample]) -> Floats:
    return detector.probabilities(np.stack([sample.planes for sample in samples]))


def _print(title: str, judged: Sequence[Judged]) -> None:
    samples, probability_S = [sample for sample, _ in judged], np.array([p for _, p in judged])
    logger.info("%s: area under the curve %.4f", title, area_under_curve(samples, probability_S))
    for row in kind_results(samples, probability_S):
        logger.info(
            "| %s | %d | %.3f | %d | %.4f |",
            *(row.kind, row.covered, row.recall, row.free, row.false_share),
        )


def print_false_alarms(
    items: Sequence[ClipFiles], names: dict[str, str], detectors: Sequence[CoverDetector]
) -> None:
    """Print the longest run of covered frames of every clip, by the network that never saw it."""
    by_clip = {
        item.clip.clip_id: cover_of_clip(item, detectors[fold_of(item.clip.video_id)])
        for item in items
    }
    frames = np.concatenate(list(by_clip.values()))
    logger.info("%d frames, share above 0.5: %.5f", len(frames), float((frames > 0.5).mean()))
    runs = longest_runs(by_clip)
    for item in items:
        if run := runs[item.clip.clip_id]:
            where = names[item.clip.video_id], item.clip.start_frame
            logger.info("%s from frame %d: longest run %d", *where, run)


def main(
    clips: Annotated[Path, typer.Option(help="faces table")],
    leave_out: Annotated[
        list[str], typer.Option(help="not to train on: URI, or URI:first frame")
    ] = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="weights to write")] = WEIGHTS_PATH,
    seed: int = 0,
) -> None:
    """Train the classifier, print what it says of sources and kinds held out."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    cache = open_cache()
    videos = read_rows(clips.parents[1] / "ingest" / "videos.parquet", Video)
    names = {video.video_id: video.uri for video in videos}
    items = [ClipFiles.of(clip, cache) for clip in read_rows(clips, Clip)]
    usable = [item for item in items if not _names(item.clip, names) & set(leave_out or ())]
    samples, config = list(samples_of(faces_of(usable), seed)), CoverFitConfig()
    save(out, fit_on(samples, config, seed))
    with TemporaryDirectory() as folder:
        detectors = cross_validate(samples, config, seed, Path(folder))
        print_false_alarms(items, names, detectors)


def _names(clip: Clip, uris: dict[str, str]) -> set[str]:
    uri = uris[clip.video_id]
    return {uri, f"{uri}:{clip.start_frame}"}


if __name__ == "__main__":
    typer.run(main)
