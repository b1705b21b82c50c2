"""Where the first picture behind an edit list of mp4 really lies.

FFmpeg moves the picture so that the first frame it shows lies at 0, even where the edit begins
between two frames: by less than a frame, but against the sound. With the option
`advanced_editlist` off it keeps the times of the file.
"""

from pathlib import Path

from pipeline.media.container import open_media
from pipeline.media.packets import TrackPackets

LONGEST_S = 1
"""FFmpeg moves by less than a frame: more is another interpretation of several edits."""


def first_picture_shift(path: Path, index: int, packets: TrackPackets) -> int:
    """Return the ticks to add to the times of a stream, >= 0; 0 where nothing was moved.

    Args:
        packets: of the stream, as read with FFmpeg's default.
    """
    if not packets.discarded or packets.first_shown is None:
        return 0
    position, pts = packets.first_shown
    with open_media(path, {"advanced_editlist": "0"}) as container:
        stream = container.streams[index]
        for packet in container.demux(stream):
            if packet.size and packet.pos == position and packet.pts is not None:
                shift = packet.pts - pts
                return shift if 0 < shift * packet.time_base < LONGEST_S else 0
    return 0
