"""Text over the film of a clip gives labels; text that moves with the scene gives none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.media.probe import probe
from pipeline.params.curation import QualityParams
from pipeline.quality.faces_seen import FacesSeen
from pipeline.quality.text_reader import reader_digests
from pipeline.tables.rows import Quality, Video
from stages.quality import ClipToMeasure, QualityStage
from tests.media import frame_times, write_video
from tests.pipeline.quality.synthetic import make_clip

HEIGHT, WIDTH, SECONDS, STEP_PX = 360, 640, 2, 4
pytest.importorskip("rapidocr")


def scene() -> np.ndarray:
    """Return soft blotches, wider than the film by what it pans."""
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH + 50 * STEP_PX)), (0, 0), 10)
    grey = 130 + 100 * grey / np.abs(grey).max()
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def written(picture: np.ndarray, x: int) -> np.ndarray:
    """Return a copy with white letters that have a black edge, at the height of the mouth."""
    copy = np.ascontiguousarray(picture)
    for level, width in ((0, 8), (255, 2)):
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(copy, "BREAKING", (x, 190), font, 1.2, (level,) * 3, width, cv2.LINE_AA)
    return copy


def panned(wide: np.ndarray) -> list[np.ndarray]:
    return [wide[:, STEP_PX * k : STEP_PX * k + WIDTH].copy() for k in range(25 * SECONDS)]


def labelled(folder: Path, frames: list[np.ndarray]) -> Quality:
    film = write_video(folder / "film.mp4", frames, frame_times(25, SECONDS))
    video = Video(video_id="v", uri=film.name, size_bytes=1, num_frames=probe(film).num_frames)
    stage = QualityStage(QualityParams(text="overlay"))
    stage.setup()
    assert set(reader_digests()) <= set(stage.weights())
    (row,) = stage.process(
        ClipToMeasure(make_clip(folder), FacesSeen(1.0, 1), video, str(film)), folder
    )
    return row


def test_text_that_stays_before_a_moving_scene_is_an_overlay(tmp_path: Path) -> None:
    row = labelled(tmp_path, [written(one, 15) for one in panned(scene())])
    assert (row.text_overlay_share, row.text_still_share) == (1.0, 0.0)
    assert 0.02 < row.text_crop_share < 0.3
    assert row.text_on_mouth


def test_text_that_moves_with_the_scene_is_none(tmp_path: Path) -> None:
    row = labelled(tmp_path, panned(written(scene(), 215)))
    assert (row.text_overlay_share, row.text_still_share) == (0.0, 0.0)
    assert (row.text_crop_share, row.text_on_mouth) == (0.0, False)
