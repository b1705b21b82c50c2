"""Decoding of one clip of a shard.

The frames are those of `pipeline.media.encode.whole_frames`, which `shards` checks its samples
with. They become RGB here and not by `read_video`, because training needs planes, and scaling in
the same pass.

Shape suffixes: T frames, C colours, H and W pixels.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from pipeline.errors import DecodeError
from pipeline.media.clip_reader import read_audio_int16
from pipeline.media.encode import whole_frames
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
    """(T, 3, H, W) RGB; (T, 3, 0, 0) where the loader decodes no pictures."""
    audio: NDArray[np.int16]
    """(T * 640,) mono, 16 kHz."""
    prepared: Any = None
    """Result of the loader's `prepare`, computed once per decode: e.g. a spectrogram."""
    video_sha256: str = ""
    """Digest of the mp4 in the shard."""
    first_frame: int = 0
    """Of a part, in the clip of the shard."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.frames)

    def part(self, first: int, count: int) -> "DecodedClip":
        """Return some frames with their sound; the rest is not held in memory for them."""
        samples = slice(first * SAMPLES_PER_FRAME, (first + count) * SAMPLES_PER_FRAME)
        return replace(
            self,
            frames=self.frames[first : first + count].copy(),
            audio=self.audio[samples].copy(),
            first_frame=first,
        )


def decode_clip(
    clip_id: str,
    shard: str,
    members: Mapping[str, bytes],
    num_frames: int,
    size_px: int | None,
    pictures: bool = True,
) -> DecodedClip:
    """Decode the members `mp4` and `flac` of one sample.

    Args:
        num_frames: of the sample's JSON.
        size_px: scale to this height and width (bicubic); None keeps the stored size.
        pictures: False decodes the audio alone.

    Raises:
        DecodeError: a member does not decode, or audio, video and JSON differ in length.
    """
    frames_TCHW = np.empty((num_frames, 3, 0, 0), np.uint8)
    if pictures:
        frames_TCHW = decode_video(members["mp4"], num_frames, size_px)
    audio = read_audio_int16(members["flac"])
    if len(audio) != num_frames * SAMPLES_PER_FRAME:
        raise DecodeError(
            f"{len(audio)} samples of sound for {num_frames} frames; "
            f"{num_frames * SAMPLES_PER_FRAME} belong to them"
        )
    video_sha256 = hashlib.sha256(members["mp4"]).hexdigest()
    return DecodedClip(clip_id, shard, frames_TCHW, audio, video_sha256=video_sha256)


def decode_video(mp4: bytes, num_frames: int, size_px: int | None) -> NDArray[np.uint8]:
    """Return the frames (T, 3, H, W) of the member `mp4`, RGB.

    Raises:
        DecodeError: it does not decode, or has another number of frames.
    """
    planes = _Planes(num_frames, size_px)
    for frame in whole_frames(mp4, num_frames):
        planes.add(frame)
    return planes.frames


class _Planes:
    """Collects frames as R, G, B planes: the layout for training, with one copy less."""

    def __init__(self, num_frames: int, size_px: int | None) -> None:
        self._num_frames, self._size_px = num_frames, size_px
        self._reformatter = VideoReformatter()
        self.frames = np.empty((0, 3, 0, 0), np.uint8)
        self._filled = 0

    def add(self, frame: av.VideoFrame) -> None:
        height, width = self._size_px or frame.height, self._size_px or frame.width
        if not self._filled:
            self.frames = np.empty((self._num_frames, 3, height, width), np.uint8)
        if frame.colorspace == _UNSPECIFIED:
            frame.colorspace = _BT709 if frame.height > SD_LINES else _BT470BG
        planar = self._reformatter.reformat(
            frame, width=width, height=height, format="gbrp", interpolation=EXACT, threads=1
        )
        for plane, colour in zip(planar.planes, (1, 2, 0), strict=True):
            rows = _bytes(plane)[: height * plane.line_size]
            self.frames[self._filled, colour] = rows.reshape(height, plane.line_size)[:, :width]
        self._filled += 1


def _bytes(plane: Any) -> NDArray[np.uint8]:  # Any: PyAV's stub hides the buffer protocol
    return np.frombuffer(plane, np.uint8)
