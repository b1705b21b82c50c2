"""Decoding of one clip of a shard.

Video is decoded here and not by `pipeline.media.encode.read_video`, because training needs RGB
planes, scaling in the same pass, and an error for damaged frames.

Shape suffixes: T frames, C colours, H and W pixels.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import read_audio_int16
from pipeline.media.container import as_media_error, only_video
from pipeline.media.picture import EXACT, SD_LINES
from pipeline.tables.rows import SAMPLES_PER_FRAME

_UNSPECIFIED, _BT709, _BT470BG = 2, 1, 5
"""Numbers of ITU-T H.273, table 4, as in pipeline/media/picture.py."""


@dataclass(slots=True)
class DecodedClip:
    """Frames and audio of one clip; shared by all its windows, so read-only."""

    clip_id: str
    shard: str
    frames: NDArray[np.uint8]
    """(T, 3, H, W) RGB."""
    audio: NDArray[np.int16]
    """(T * 640,) mono, 16 kHz."""
    prepared: Any = None
    """Result of the loader's `prepare`, computed once per decode: e.g. a spectrogram."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.frames)


def decode_clip(
    clip_id: str, shard: str, members: Mapping[str, bytes], num_frames: int, size_px: int | None
) -> DecodedClip:
    """Decode the members `mp4` and `flac` of one sample.

    Args:
        num_frames: of the sample's JSON.
        size_px: scale to this height and width (bicubic); None keeps the stored size.

    Raises:
        DecodeError: a member does not decode, or audio, video and JSON differ in length.
    """
    frames_TCHW = _decode_video(members["mp4"], num_frames, size_px)
    audio = read_audio_int16(members["flac"])
    if len(audio) != num_frames * SAMPLES_PER_FRAME:
        raise DecodeError(
            f"{len(audio)} samples of sound for {num_frames} frames; "
            f"{num_frames * SAMPLES_PER_FRAME} belong to them"
        )
    return DecodedClip(clip_id, shard, frames_TCHW, audio)


def _decode_video(mp4: bytes, num_frames: int, size_px: int | None) -> NDArray[np.uint8]:
    try:
        with av.open(io.BytesIO(mp4), "r", metadata_errors="replace") as container:
            video = only_video(container)
            video.thread_count = 1  # parallelism is by the loader's workers
            video.codec_context.options = {"err_detect": "explode"}  # else FFmpeg conceals damage
            planes = _Planes(num_frames, size_px)
            for frame in container.decode(video):
                planes.add(frame)
    except av.FFmpegError as error:
        raise as_media_error(error, DecodeError, "clip") from error
    return planes.whole()


class _Planes:
    """Collects frames as R, G, B planes: the layout for training, with one copy less."""

    def __init__(self, num_frames: int, size_px: int | None) -> None:
        self._num_frames, self._size_px = num_frames, size_px
        self._reformatter = VideoReformatter()
        self._frames = np.empty((0, 3, 0, 0), np.uint8)
        self._filled = 0

    def add(self, frame: av.VideoFrame) -> None:
        height, width = self._size_px or frame.height, self._size_px or frame.width
        if not self._filled:
            self._frames = np.empty((self._num_frames, 3, height, width), np.uint8)
        if self._filled >= self._num_frames:
            raise DecodeError(f"more frames than the {self._num_frames} of its JSON")
        if frame.is_corrupt:
            raise DecodeError(f"frame {self._filled} is corrupt")
        if frame.colorspace == _UNSPECIFIED:
            frame.colorspace = _BT709 if frame.height > SD_LINES else _BT470BG
        planar = self._reformatter.reformat(
            frame, width=width, height=height, format="gbrp", interpolation=EXACT, threads=1
        )
        for plane, colour in zip(planar.planes, (1, 2, 0), strict=True):
            rows = _bytes(plane)[: height * plane.line_size]
            self._frames[self._filled, colour] = rows.reshape(height, plane.line_size)[:, :width]
        self._filled += 1

    def whole(self) -> NDArray[np.uint8]:
        if self._filled != self._num_frames:
            raise DecodeError(f"{self._filled} frames; its JSON says {self._num_frames}")
        return self._frames


def _bytes(plane: Any) -> NDArray[np.uint8]:  # Any: PyAV's stub hides the buffer protocol
    return np.frombuffer(plane, np.uint8)
