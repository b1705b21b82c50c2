"""Whether a track of sound holds more than silence."""

from contextlib import suppress
from pathlib import Path

import av
import numpy as np

from pipeline.media.container import open_media
from pipeline.media.samples import planes

SILENCE = 10 ** (-60 / 20)
"""Peak below which a track is silent, full scale = 1: the noise of an open microphone is below
it, speech 20 dB and more above."""


def is_audible(path: Path, index: int) -> bool:
    """Return whether any sample of a track is louder than silence; decodes up to that one.

    Raises:
        MediaError: as `open_media`.
    """
    with open_media(path) as container:
        for packet in container.demux(container.streams[index]):
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    assert isinstance(frame, av.AudioFrame)
                    if np.abs(planes(frame)).max(initial=0.0) > SILENCE:
                        return True
    return False
