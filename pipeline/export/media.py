"""Pictures, sound and sound-inside-mp4 of a clip, as files for other readers.

Nothing is encoded a second time but JPEG pictures: the mp4 gets the FLAC packets of the shard.
"""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import soundfile
from av.container import InputContainer
from numpy.typing import NDArray

from pipeline.media.clip_reader import read_audio_int16
from pipeline.media.container import local_url
from pipeline.tables.rows import SAMPLE_RATE_HZ

JPEG_QUALITY = 98
"""With whole chroma (4:4:4)."""
_MUXER = {"movflags": "+faststart", "fflags": "+bitexact", "video_track_timescale": "12800"}
_JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]


def write_mp4_with_sound(path: Path, mp4: bytes, flac: bytes) -> None:
    """Write an mp4 with the video packets of one file and the FLAC packets of another, as they are.

    Video frame k is shown at k / 25 s, sound sample n is heard at n / 16000 s.
    """
    with (
        _opened(mp4) as film,
        _opened(flac) as sound,
        av.open(local_url(path), "w", format="mp4", container_options=_MUXER) as output,
    ):
        video, audio = film.streams.video[0], sound.streams.audio[0]
        targets = {
            "video": output.add_stream_from_template(video),
            "audio": output.add_stream_from_template(audio),
        }
        packets: list[av.Packet[Any]] = [*film.demux(video), *sound.demux(audio)]
        for packet in sorted((one for one in packets if one.size), key=_time):
            packet.stream = targets[packet.stream.type]
            output.mux(packet)


def _opened(content: bytes) -> InputContainer:
    return av.open(io.BytesIO(content), "r")


def _time(packet: "av.Packet[Any]") -> Fraction:
    """Return when a packet is shown or heard, in seconds."""
    return (packet.pts or 0) * packet.time_base


def write_wav(path: Path, flac: bytes) -> None:
    """Write the sound as 16 kHz mono 16 bit PCM, sample by sample that of the FLAC."""
    buffer = io.BytesIO()  # soundfile does not say why a file cannot be written
    samples = read_audio_int16(flac)
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    path.write_bytes(buffer.getvalue())


def write_jpeg(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) picture as JPEG; the bytes depend on the picture alone."""
    done, content = cv2.imencode(".jpg", np.ascontiguousarray(rgb[:, :, ::-1]), _JPEG)
    assert done, "OpenCV encodes every uint8 picture as JPEG"
    path.write_bytes(content.tobytes())
