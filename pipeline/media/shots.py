"""Shot boundaries, exact to the frame of the 25 fps grid."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import decord
import numpy as np
from decord import DECORDError, DECORDLimitReachedError
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from pipeline.media.container import local_url, open_media
from pipeline.media.decoding import PictureDecoder
from pipeline.media.frames import timed_frames
from pipeline.media.layout import Layout, read_layout
from pipeline.media.picture import Picture
from pipeline.media.probe import Probe
from pipeline.params.curation import ScenesParams
from pipeline.tables.rows import FPS, Video

WINDOW = 2
"""Half width of the detector's window: frames before and after to which one is compared."""
FAULT_TOLERANCE = 1e-9
"""Share of frames that decord may replace by a neighbour: none."""

RETURN_SHARE = 0.25
"""A flash: the image after it differs from that before by less than this share of the change."""

Picture8 = NDArray[np.uint8]
Timed = tuple[int, Picture8]
"""Presentation time in the stream's units, and an (H, W, 3) picture."""


def find_shots(
    path: Path, probe: Probe | Video, params: ScenesParams
) -> tuple[list[tuple[int, int]], str]:
    """Find the shot boundaries by PySceneDetect's adaptive detector on reduced images.

    Returns:
        (shots, decoder): shots as [start_frame, end_frame) on the 25 fps grid, covering
        [0, num_frames) without gap; grid frame `start_frame` is the first that shows the new
        shot. `decoder` is `decord`, or `pyav` where decord's frames are not reliable.

    Raises:
        DecodeError: neither decoder reads the file to its end.
        MediaError: as `open_media`.
    """
    layout = read_layout(path)
    clock = layout.require_clock()
    size = _small_size(probe, params.decode_height)
    try:
        cuts, decoder = _cuts(_decord_pictures(path, layout, size), params), "decord"
    except DecordError:
        cuts, decoder = _cuts(_pyav_pictures(path, layout, size), params), "pyav"
    starts = [clock.first_grid_frame(*times) for times in cuts]
    return _shots(starts, clock.num_frames, params.min_scene_frames), decoder


class DecordError(Exception):
    """decord does not read the file as it must be, or returns another number of frames."""


def _small_size(probe: Probe | Video, height: int) -> tuple[int, int]:
    """Return (width, height) of the decode: the aspect as stored, never larger than stored."""
    turned = probe.rotation_deg in (90, 270)
    stored = (probe.height, probe.width) if turned else (probe.width, probe.height)
    height = min(height, stored[1])
    return max(1, round(stored[0] * height / stored[1])), height


def _decord_pictures(path: Path, layout: Layout, size: tuple[int, int]) -> Iterator[Timed]:
    """Yield (presentation time, small RGB picture), decoding in order with one thread.

    decord numbers frames by packets: only where these are as many as the clock counted is its
    i-th frame shown at the clock's i-th time. It chooses the track by itself.
    """
    if layout.pictures > 1 or layout.restarts or layout.size_changes:
        raise DecordError("it chooses the track itself, and expects one size and one clock")
    clock = layout.require_clock()
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(
            local_url(path), width=size[0], height=size[1], num_threads=1, fault_tol=FAULT_TOLERANCE
        )
        if len(reader) != len(clock.timestamps):
            raise DecordError(f"{len(reader)} frames, not {len(clock.timestamps)}")
        for timestamp in clock.timestamps.tolist():
            yield timestamp, reader.next().asnumpy()
    except (DECORDError, DECORDLimitReachedError, RuntimeError, AssertionError) as error:
        raise DecordError(str(error)) from error


def _pyav_pictures(path: Path, layout: Layout, size: tuple[int, int]) -> Iterator[Timed]:
    with open_media(path) as container:
        decoder = PictureDecoder(container, layout)
        picture = Picture(decoder.video, layout.size)
        for timestamp, decoded in timed_frames(decoder, layout.require_clock()):
            yield timestamp, picture.rgb(decoded.frame, size)


def _cuts(pictures: Iterator[Timed], params: ScenesParams) -> list[tuple[int, int]]:
    """Return (time of the last frame of the old shot, time of the first of the new) per cut."""
    detector = AdaptiveDetector(
        adaptive_threshold=params.adaptive_threshold,
        min_content_val=params.min_content_val,
        window_width=WINDOW,
        min_scene_len=0,  # _shots does that, on the 25 fps grid
    )
    times: list[int] = []
    cuts: list[int] = []
    recent: deque[Picture8] = deque(maxlen=2 * WINDOW + 2)
    for time, rgb in _with_tail(pictures):
        times.append(time)
        recent.append(np.ascontiguousarray(rgb[..., ::-1]))
        for cut in detector.process_frame(FrameTimecode(len(times) - 1, float(FPS)), recent[-1]):
            if not _is_flash(recent):
                cuts.append(cut.frame_num)
    return [(times[n - 1], times[n]) for n in cuts if n > 0]


def _with_tail(pictures: Iterator[Timed]) -> Iterator[Timed]:
    """Repeat the last image WINDOW times, so that the window covers the last frames."""
    last: Timed | None = None
    for last in pictures:
        yield last
    if last is not None:
        yield from [last] * WINDOW


def _is_flash(recent: Sequence[Picture8]) -> bool:
    """Return whether this is a flash of one or two frames: after it the old image returns.

    Args:
        recent: the images up to WINDOW frames after the detected cut, from 1 + WINDOW frames before
            it where there are so many.
    """
    before, after = recent[-2 - WINDOW], recent[-1 - WINDOW]
    back = [_difference(before, recent[-1])]  # the flash begins here
    if len(recent) == 2 * WINDOW + 2:
        back.append(_difference(recent[0], after))  # the flash ends here
    return min(back) < RETURN_SHARE * _difference(before, after)


def _difference(one: Picture8, other: Picture8) -> float:
    return float(cv2.absdiff(one, other).mean())


def _shots(starts: list[int], num_frames: int, min_frames: int) -> list[tuple[int, int]]:
    """Cover [0, num_frames); a start less than `min_frames` after the one before is dropped."""
    kept = [0]
    for start in starts:
        if min_frames <= start - kept[-1] and start < num_frames:
            kept.append(start)
    return list(zip(kept, [*kept[1:], num_frames], strict=True))
