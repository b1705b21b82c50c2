"""Samples of an evaluation for viewing: strips of mouths, and videos with sound.

Shape suffixes: T frames, C colours, H and W pixels, N samples.
"""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import replacing
from pipeline.media.encode import write_clip
from pipeline.tables.rows import SAMPLE_RATE_HZ
from trainers.evaluation.clip_versions import ClipVersions
from trainers.evaluation.film_strips import mouth_strip

Pixels = NDArray[np.uint8]
Samples = NDArray[np.int16]

CRF = 18
BIT_RATE = 96_000
_BITEXACT = 0x800000
"""AV_CODEC_FLAG_BITEXACT: no encoder version in the stream."""


def write_samples(folder: Path, name: str, clip: ClipVersions) -> list[Path]:
    """Write `<name>.png` and a video per sound: real frames on the left, dubbed on the right.

    Raises:
        StorageError: the disk is full or not writable.
    """
    written = [_strip(folder / f"{name}.png", clip)]
    for sound, audio in clip.sounds.items():
        side_by_side = np.concatenate([clip.frames["real"], clip.frames[sound]], axis=3)
        written.append(_video(folder / f"{name}-{sound}.mp4", side_by_side, audio))
    return written


def _strip(path: Path, clip: ClipVersions) -> Path:
    stored = cv2.imencode(".png", mouth_strip(clip)[..., ::-1])[1]
    with replacing(path) as part:
        part.write_bytes(stored.tobytes())
    return path


def _video(path: Path, frames_TCHW: Pixels, audio_N: Samples) -> Path:
    with replacing(path) as part:
        silent = part.with_suffix(".silent")
        try:
            write_clip(silent, (f.transpose(1, 2, 0) for f in frames_TCHW), CRF)
            _mux(silent, audio_N, part)
        finally:
            silent.unlink(missing_ok=True)
    return path


def _mux(silent: Path, audio_N: Samples, out: Path) -> None:
    """Copy the video stream and add the sound as AAC."""
    with (
        av.open(str(silent)) as video_only,
        av.open(str(out), "w", format="mp4", options={"fflags": "+bitexact"}) as container,
    ):
        source = video_only.streams.video[0]
        video = container.add_stream_from_template(source)
        sound = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        assert isinstance(sound, av.AudioStream)
        sound.codec_context.bit_rate = BIT_RATE
        sound.codec_context.flags |= _BITEXACT
        for packet in video_only.demux(source):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(audio_N[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
