"""The planes of a film show what its RGB frames show: warped, reduced, cut and turned."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.faces import alignment
from pipeline.media.film_picture import FilmPicture, RgbPicture
from pipeline.media.frames import film_frames, frames_at_25fps
from pipeline.media.i420 import i420_of, rgb_of
from tests.media import frame_times, write_video

TURN = np.array([[0.62, -0.11, 20.3], [0.11, 0.62, -7.9]])


def smooth(count: int, seed: int, width: int = 320, height: int = 240) -> list[NDArray[np.uint8]]:
    """Coloured pictures without detail that chroma of half the size cannot hold."""
    rng = np.random.default_rng(seed)
    small = rng.integers(30, 226, (6, 8, 3), np.uint8)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return [np.roll(picture, 3 * k, axis=1) for k in range(count)]


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    error = np.mean((one.astype(float) - other) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def pair(path: Path) -> tuple[FilmPicture, NDArray[np.uint8]]:
    """Return the last frame of a film, as planes and as RGB."""
    *_, film = film_frames(path)
    *_, rgb = frames_at_25fps(path)
    assert isinstance(film.image, FilmPicture)
    return film.image, rgb


FILMS: dict[str, dict[str, Any]] = {
    "small": {},
    "turned": {"rotation_deg": 90},
    "mirrored": {"mirrored": True},
    "full range": {"codec": "mjpeg", "options": {"qmin": "2", "qmax": "2"}},
    "large": {"size": (1280, 720)},
    "odd": {"codec": "mjpeg", "options": {"qmin": "2", "qmax": "2"}, "size": (317, 241)},
}


def film_of(path: Path, case: str) -> Path:
    options = dict(FILMS[case])
    width, height = options.pop("size", (320, 240))
    return write_video(path / "x.mov", smooth(5, 3, width, height), frame_times(25, 0.2), **options)


@pytest.mark.parametrize("case", FILMS)
def test_planes_and_rgb_show_the_same(tmp_path: Path, case: str) -> None:
    film, rgb = pair(film_of(tmp_path, case))
    assert film.shape == rgb.shape
    assert psnr(film.rgb, rgb) > 40
    for size in ((192, 192), (91, 64)):
        assert psnr(film.warped(TURN, size), RgbPicture(rgb).warped(TURN, size)) > 35
        assert psnr(film.reduced(size), RgbPicture(rgb).reduced(size)) > 38
    part = film.part(20, 40, 121, 140)
    assert part.shape == (100, 101, 3)
    assert psnr(part.rgb[2:-2, 2:-2], rgb[42:138, 22:119]) > 38


@pytest.mark.parametrize("case", FILMS)
def test_the_crop_of_planes_is_that_of_rgb(tmp_path: Path, case: str) -> None:
    film, rgb = pair(film_of(tmp_path, case))
    matrix = np.array([[0.9, 0.1, -30.0], [-0.1, 0.9, 20.0]])
    ours, wanted = alignment.aligned(film, matrix), alignment.aligned(rgb, matrix)
    assert ours.shape == wanted.shape == (384, 256)
    inside = np.s_[60:200, 60:200]
    assert psnr(rgb_of(ours)[inside], rgb_of(wanted)[inside]) > 40


def test_what_lies_outside_of_the_film_is_grey_in_the_crop(tmp_path: Path) -> None:
    film, _ = pair(film_of(tmp_path, "small"))
    far = np.array([[1.0, 0, 4000], [0, 1, 4000]])
    assert np.ptp(rgb_of(alignment.aligned(film, far))) == 0
    assert abs(int(rgb_of(alignment.aligned(film, far))[0, 0, 0]) - 127) <= 1


def test_planes_of_an_encoder_hold_the_colours_they_were_made_from() -> None:
    picture = smooth(1, 5)[0]
    assert psnr(rgb_of(i420_of(picture)), picture) > 38


def test_a_large_face_is_averaged_and_not_sampled(tmp_path: Path) -> None:
    """Stripes of one pixel become grey in a crop that is a quarter of the size."""
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    path = write_video(
        tmp_path / "x.mp4", [stripes] * 3, frame_times(25, 0.12), options={"crf": "1"}
    )
    film, _ = pair(path)
    crop = alignment.aligned(film, np.array([[0.25, 0, 0], [0, 0.25, 0]]))
    assert float(crop[40:180, 40:180].std()) < 6
