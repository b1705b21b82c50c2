"""Shot boundaries, exact to the frame of the 25 fps grid."""

from collections.abc import Iterator
from pathlib import Path

import decord
import numpy as np
from decord import DECORDError, DECORDLimitReachedError
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from pipeline.media.clock import VideoClock
from pipeline.media.container import local_url, open_media, require_video
from pipeline.media.frames import Picture, read_video_clock, timed_frames
from pipeline.media.probe import Probe
from pipeline.params import ScenesParams
from pipeline.rows import FPS

WINDOW = 2
"""Frames before and after, with whose change the detector compares the change of one frame."""
ANY_FAULT = 1e-9
"""decord's share of frames that it may replace by a neighbour: none."""

Timed = tuple[int, NDArray[np.uint8]]
"""Presentation time in the stream's units, and an (H, W, 3) picture."""


def find_shots(path: Path, probe: Probe, params: ScenesParams) -> tuple[list[tuple[int, int]], str]:
    """Find the cuts of a file by PySceneDetect's adaptive detector on small pictures.

    Returns:
        (shots, decoder): shots as [start_frame, end_frame) on the 25 fps grid, covering
        [0, num_frames) without gap; grid frame `start_frame` is the first that shows the new
        shot. `decoder` is `decord`, or `pyav` where decord's frames cannot be trusted.

    Raises:
        DecodeError: neither decoder reads the file to its end.
        MediaError: as `open_media`.
    """
    clock = read_video_clock(path)
    size = _small_size(probe, params.decode_height)
    try:
        cuts, decoder = _cuts(_decord_pictures(path, clock, size), params), "decord"
    except DecordError:
        cuts, decoder = _cuts(_pyav_pictures(path, clock, size), params), "pyav"
    starts = [clock.first_grid_frame(*times) for times in cuts]
    return _shots(starts, clock.num_frames, params.min_scene_frames), decoder


class DecordError(Exception):
    """decord does not open the file, or does not give the frames that its packets promise."""


def _small_size(probe: Probe, height: int) -> tuple[int, int]:
    """Return (width, height) of the decode: the aspect as stored, never larger than stored."""
    turned = probe.rotation_deg in (90, 270)
    stored = (probe.height, probe.width) if turned else (probe.width, probe.height)
    height = min(height, stored[1])
    return max(1, round(stored[0] * height / stored[1])), height


def _decord_pictures(path: Path, clock: VideoClock, size: tuple[int, int]) -> Iterator[Timed]:
    """Yield (presentation time, small RGB picture), decoding in order with one thread.

    decord numbers frames by packets: only where these are as many as the clock counted is its
    i-th frame shown at the clock's i-th time.
    """
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(
            local_url(path), width=size[0], height=size[1], num_threads=1, fault_tol=ANY_FAULT
        )
        if len(reader) != len(clock.timestamps):
            raise DecordError(f"{len(reader)} frames, not {len(clock.timestamps)}")
        for timestamp in clock.timestamps.tolist():
            yield timestamp, reader.next().asnumpy()
    except (DECORDError, DECORDLimitReachedError, RuntimeError, AssertionError) as error:
        raise DecordError(str(error)) from error


def _pyav_pictures(path: Path, clock: VideoClock, size: tuple[int, int]) -> Iterator[Timed]:
    picture = Picture()
    with open_media(path) as container:
        for timestamp, frame in timed_frames(container, require_video(container), clock):
            yield timestamp, picture.rgb(frame, size)


def _cuts(pictures: Iterator[Timed], params: ScenesParams) -> list[tuple[int, int]]:
    """Return (time of the last frame of the old shot, time of the first of the new) per cut."""
    detector = AdaptiveDetector(
        adaptive_threshold=params.adaptive_threshold,
        min_content_val=params.min_content_val,
        window_width=WINDOW,
        min_scene_len=0,  # _shots does that, on the 25 fps grid
    )
    times: list[int] = []
    found: list[FrameTimecode] = []
    bgr = None
    for time, rgb in pictures:
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        found += detector.process_frame(FrameTimecode(len(times), float(FPS)), bgr)
        times.append(time)
    for extra in range(WINDOW if bgr is not None else 0):  # lets it judge the last frames too
        found += detector.process_frame(FrameTimecode(len(times) + extra, float(FPS)), bgr)
    numbers = [cut.frame_num for cut in found]
    return [(times[n - 1], times[n]) for n in numbers if 0 < n < len(times)]


def _shots(starts: list[int], num_frames: int, min_frames: int) -> list[tuple[int, int]]:
    """Cover [0, num_frames); a start less than `min_frames` after the one before is no cut."""
    kept = [0]
    for start in starts:
        if min_frames <= start - kept[-1] and start < num_frames:
            kept.append(start)
    return list(zip(kept, [*kept[1:], num_frames], strict=True))
