"""Shot boundaries, exact to the frame of the 25 fps grid.

Hard cuts come from PySceneDetect's adaptive detector; dissolves, fades and flashes from
pipeline/media/transitions.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import decord
import numpy as np
from decord import DECORDError, DECORDLimitReachedError
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from pipeline.media.clock import VideoClock
from pipeline.media.container import local_url, open_media
from pipeline.media.decoding import PictureDecoder
from pipeline.media.frames import timed_frames
from pipeline.media.layout import Layout, read_layout
from pipeline.media.picture import Picture
from pipeline.media.probe import Probe
from pipeline.media.transitions import (
    SMALL_H,
    SMALL_W,
    Small,
    Span,
    begins_in_flash,
    find_transitions,
    flash_end,
    small_grey,
    without,
)
from pipeline.params.curation import ScenesParams
from pipeline.tables.rows import FPS, Video

WINDOW = 2
"""Half width of the detector's window: frames before and after to which one is compared."""
FAULT_TOLERANCE = 1e-9
"""Share of frames that decord may replace by a neighbour: none."""
FULL_LIGHT = 160.0
"""Darker pictures are compared as if their light reached this value, but by MAX_GAIN at most."""
MAX_GAIN = 5.0
SCALE = 2 / 3
"""Brings the change at a cut between bright pictures to PySceneDetect's mean of hue, saturation and
value, for which `min_content_val` is known."""
CLEAR_CUT = 105.0
"""Change times its ratio to the window: a head thrown about reaches 95, a cut more than 125."""
SECOND_CUT = 0.7
"""A change beside a cut that is as large as this share of it is a cut, too."""

Picture8 = NDArray[np.uint8]
Timed = tuple[int, Picture8]
"""Presentation time in the stream's units, and an (H, W, 3) picture."""


def find_shots(path: Path, probe: Probe | Video, params: ScenesParams) -> tuple[list[Span], str]:
    """Find the shots: what lies between hard cuts, dissolves and fades.

    Every cut ends a shot, however short the shot is. A flash of up to about a second is no cut.

    Returns:
        (shots, decoder): shots as [start_frame, end_frame) on the 25 fps grid, ascending; grid
        frame `start_frame` is the first that shows the new shot. Frames of [0, num_frames) that are
        in no shot belong to a dissolve or a fade. `decoder` is `decord`, or `pyav` where decord's
        frames are not reliable.

    Raises:
        DecodeError: neither decoder reads the file to its end.
        MediaError: as `open_media`.
    """
    layout = read_layout(path)
    clock = layout.require_clock()
    size = _small_size(probe, params.decode_height)
    try:
        cuts, small = _examined(_decord_pictures(path, layout, size), clock, params)
        decoder = "decord"
    except DecordError:
        cuts, small = _examined(_pyav_pictures(path, layout, size), clock, params)
        decoder = "pyav"
    transitions = find_transitions(small)
    spans = _edges(cuts, transitions, small)
    return [part for span in spans for part in without(transitions, *span)], decoder


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


def _examined(
    pictures: Iterator[Timed], clock: VideoClock, params: ScenesParams
) -> tuple[list[int], Small]:
    """Return the first grid frame after each hard cut, and a small grey picture per grid frame."""
    detector = _Detector(
        adaptive_threshold=params.adaptive_threshold / 2,  # in full in `last_is_clear`
        min_content_val=params.min_content_val,
        window_width=WINDOW,
        min_scene_len=0,
    )
    ratio = params.adaptive_threshold
    shown = _ShownPictures(clock.num_frames)
    firsts: list[int] = []
    cuts: list[int] = []
    previous: int | None = None
    for time, rgb in _with_tail(pictures):
        first = 0 if previous is None else clock.first_grid_frame(previous, time)
        shown.put(first, small_grey(rgb))
        previous = time
        firsts.append(first)
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        found = detector.process_frame(FrameTimecode(len(firsts) - 1, float(FPS)), bgr)
        cuts.extend(firsts[cut.frame_num] for cut in found if detector.last_is_clear(ratio))
    return [first for first in cuts if 0 < first < clock.num_frames], shown.whole()


class _ShownPictures:
    """A small grey picture per grid frame, from the pictures of a film in order."""

    def __init__(self, num_frames: int) -> None:
        self._small = np.zeros((num_frames, SMALL_H, SMALL_W), np.uint8)
        self._first = 0
        """Where the last picture begins."""
        self._last: Picture8 | None = None

    def put(self, first: int, grey: Picture8) -> None:
        """Add a picture that is shown from a grid frame on; one before or at it is replaced."""
        if self._last is not None:
            self._small[self._first : first] = self._last
        self._first, self._last = first, grey

    def whole(self) -> Small:
        """Return (T, H, W); the last picture is shown to the end."""
        if self._last is not None:
            self._small[self._first :] = self._last
        return self._small


class _Detector(AdaptiveDetector):  # type: ignore[misc]
    """The adaptive detector, with colours weighed by how well they can be seen.

    As published, the mean change of hue, saturation and value. In the dark and in grey the hue and
    the saturation of a pixel are noise, as large as the change at a cut: here hue counts by the
    pixel's saturation times value, saturation by its value. A dark picture's own light is raised.
    """

    _last_frame: NDArray[np.float32] | None

    def last_is_clear(self, ratio: float) -> bool:
        """Return whether the cut that was returned last stands out of its window by `ratio`."""
        scores = [score for _, score in self._buffer]
        change = scores.pop(WINDOW)
        if max(scores) >= SECOND_CUT * change:  # the way back from an insert of a frame or two
            scores.remove(max(scores))
        beside = float(np.mean(scores))
        return bool(change >= ratio * beside and change**2 >= CLEAR_CUT * beside)

    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: Picture8) -> float:
        hsv = cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV).astype(np.float32)
        last, self._last_frame = self._last_frame, hsv
        return 0.0 if last is None else _content_change(last, hsv)


def _content_change(last: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """Return the weighed mean change of two HSV pictures, in the unit of `min_content_val`."""
    hue, saturation, value = np.moveaxis(np.abs(now - last), -1, 0)
    hue = np.minimum(hue, 180 - hue)
    seen = np.minimum(last, now)[..., 1:] / 255
    light = max(_light(picture) for picture in (last, now))
    gain = min(max(FULL_LIGHT / max(light, 1.0), 1.0), MAX_GAIN)
    coloured = hue * seen[..., 0] * seen[..., 1] + saturation * seen[..., 1]
    return float((coloured + gain * value).mean() * SCALE)


def _light(hsv: NDArray[np.float32]) -> float:
    """Return the value that one pixel in twenty exceeds, from every third pixel."""
    values = hsv[..., 2].ravel()[::3]
    rank = int(0.95 * (len(values) - 1))
    return float(np.partition(values, rank)[rank])


def _with_tail(pictures: Iterator[Timed]) -> Iterator[Timed]:
    """Repeat the last image WINDOW times, so that the window covers the last frames."""
    last: Timed | None = None
    for last in pictures:
        yield last
    if last is not None:
        yield from [last] * WINDOW


def _edges(cuts: Iterable[int], transitions: Sequence[Span], small: Small) -> list[Span]:
    """Cover [0, T) by spans that end at the cuts; those in a flash or a transition are none."""
    starts, free_from = [0], 1
    for cut in sorted(set(cuts)):
        end = flash_end(small, cut) if cut >= free_from else None
        if end is not None:
            free_from = end + 1
        elif starts == [0] and begins_in_flash(small, cut):
            continue
        elif cut >= free_from and not any(a <= cut <= b for a, b in transitions):
            starts.append(cut)
    return list(zip(starts, [*starts[1:], len(small)], strict=True))
