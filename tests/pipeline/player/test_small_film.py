"""Small films: picture and sound begin together, and the sound is moved as it is asked for."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import DecodeError
from pipeline.media.flac import write_flac
from pipeline.player.small_film import FILM_PX, Excerpt, small_film
from pipeline.tables.rows import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from tests.pipeline.quality.synthetic import write_video

FRAMES, FLASH = 60, 40
"""The picture is bright, and a tone begins, at one frame."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    luma = np.full((FRAMES, 256, 256), 30.0)
    luma[FLASH:] = 200
    write_video(folder / "clip.mp4", luma)
    sound = np.zeros(FRAMES * SAMPLES_PER_FRAME)
    tone = np.sin(2 * np.pi * 500 * np.arange(len(sound)) / SAMPLE_RATE_HZ)
    sound[FLASH * SAMPLES_PER_FRAME :] = tone[FLASH * SAMPLES_PER_FRAME :]
    write_flac(folder / "clip.flac", np.rint(20000 * sound).astype(np.int16), SAMPLE_RATE_HZ)
    return folder


def excerpt(clip: Path, start: int, end: int, lead: float = 0.0) -> Excerpt:
    return Excerpt(clip / "clip.mp4", clip / "clip.flac", start, end, lead)


def flash_and_tone(mp4: bytes) -> tuple[float, float]:
    """Return when the picture becomes bright and when the tone begins, in seconds."""
    with av.open(io.BytesIO(mp4)) as container:
        frames = [(f.time, f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    with av.open(io.BytesIO(mp4)) as container:
        sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    flash = next(time for time, mean in frames if mean > 100)
    return flash, float(np.flatnonzero(np.abs(sound) > 0.3)[0] / SAMPLE_RATE_HZ)


@pytest.mark.parametrize(
    ("start", "end", "lead"), [(0, 60, 0), (10, 60, 0), (25, 55, 3.5), (0, 60, -4)]
)
def test_picture_and_sound_are_together_and_the_lead_is_taken_out(clip, start, end, lead):
    film = small_film(excerpt(clip, start, end, lead), [0])
    flash, tone = flash_and_tone(film.mp4)
    assert flash == pytest.approx((FLASH - start) / 25, abs=1e-6)
    assert tone - flash == pytest.approx(lead / 25, abs=0.003)
    assert film.pictures[0].shape == (FILM_PX, FILM_PX, 3)


def test_the_same_clip_gives_the_same_bytes(clip):
    assert small_film(excerpt(clip, 5, 50, 1)).mp4 == small_film(excerpt(clip, 5, 50, 1)).mp4


def test_a_clip_that_is_shorter_is_refused(clip):
    with pytest.raises(DecodeError, match="no frames"):
        small_film(excerpt(clip, 0, FRAMES + 5))
