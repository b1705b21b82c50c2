"""What a file holds besides the film that is read, in plain words."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.media.layout import Layout


def remarks(path: Path, layout: Layout) -> list[str]:
    """Return one sentence for each thing that a user may want to know; none for a plain file."""
    return list(_remarks(path, layout))


def _remarks(path: Path, layout: Layout) -> Iterator[str]:
    choices = ((layout.video, "video"), (layout.audio, "audio"))
    yield from (text for one, kind in choices if one and (text := one.remark(kind)))
    stills = layout.pictures - (layout.video.of if layout.video else 0)
    if layout.video and stills:
        yield f"{stills} cover picture{'s' if stills > 1 else ''} not used"
    start_s = layout.clock.start_s if layout.clock else 0.0
    for restart in layout.restarts:
        yield (
            f"the clock jumps by {restart.jump_s:.2f} s at {restart.at_s - start_s:.2f} s: another "
            "recording is joined there, its picture and sound moved by the same amount"
        )
    if "mp4" in layout.container and (second := _second_mp4(path)):
        yield f"a second mp4 begins at byte {second} and is not read"


def _second_mp4(path: Path) -> int | None:
    """Return where the next file begins that was appended to an mp4."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for position, kind in _boxes(file, size):
            if kind == b"ftyp" and position:
                return position
    return None


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (position, type) of the boxes of an mp4, ISO/IEC 14496-12, 4.2."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        yield at, head[4:8]
        if length < 8:  # 0: to the end of the file
            return
        at += length
