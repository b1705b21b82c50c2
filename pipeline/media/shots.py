"""Shot boundaries, exact to the frame of the 25 fps grid.

Hard cuts come from PySceneDetect's adaptive detector; dissolves, fades and flashes from
pipeline/media/transitions.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from pipeline.media.clock import VideoClock
from pipeline.media.film_picture import FilmPicture
from pipeline.media.frames import film_frames, first_shown, read_video_clock
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
from pipeline.processor import pin_kernels
from pipeline.tables.rows import FPS

pin_kernels()

MARGIN = 100
"""Frames before and behind a span that are looked at: more than any window, flash or fade."""
WINDOW = 2
"""Half width of the detector's window: frames before and after to which one is compared."""
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


def find_shots(path: Path, params: ScenesParams, span: Span | None = None) -> list[Span]:
    """Find the shots: what lies between hard cuts, dissolves and fades.

    Every cut ends a shot, however short the shot is. A flash of up to about a second is no cut.

    Args:
        span: part of the film, [first, end) in grid frames: only the shots that are seen there. One
            that goes on beyond it ends one frame before or behind it.

    Returns:
        Shots as [start_frame, end_frame) on the 25 fps grid, ascending; grid frame `start_frame` is
        the first that shows the new shot. Frames of [0, num_frames) that are in no shot belong to a
        dissolve or a fade.

    Raises:
        DecodeError: the file does not decode to its end.
        MediaError: as `open_media`.
    """
    finder = ShotFinder(read_video_clock(path), params, span)
    for _ in film_frames(path, finder.add, span=span, margin=MARGIN):
        pass
    return finder.shots()


class ShotFinder:
    """Finds the shots of a film from its source frames, one after the other."""

    def __init__(self, clock: VideoClock, params: ScenesParams, span: Span | None = None) -> None:
        self._clock, self._params = clock, params
        self._span = span or (0, clock.num_frames)
        self._begin = max(0, self._span[0] - MARGIN)
        self._end = min(clock.num_frames, self._span[1] + MARGIN)
        self._detector = _Detector(
            adaptive_threshold=params.adaptive_threshold / 2,  # in full in `last_is_clear`
            min_content_val=params.min_content_val,
            window_width=WINDOW,
            min_scene_len=0,
        )
        self._shown = _ShownPictures(self._begin, self._end)
        self._firsts: list[int] = []
        """First grid frame that shows each source frame, or a later one if none does."""
        self._last: tuple[int, Picture8] | None = None
        self.cuts: list[int] = []
        """The first grid frame after each hard cut, ascending, in flashes and dissolves, too."""

    @property
    def settled(self) -> int:
        """Return the first grid frame of which is not known yet whether it begins a shot."""
        return self._firsts[-WINDOW] if len(self._firsts) >= WINDOW else 0

    def add(self, time: int, picture: FilmPicture) -> None:
        """Add the next source frame, shown from `time` on, in the clock's units."""
        height = min(self._params.decode_height, picture.shape[0])
        width = max(1, round(picture.shape[1] * height / picture.shape[0]))
        rgb = picture.reduced((width, height))
        first = first_shown(time, self._clock)
        self._shown.put(first, small_grey(rgb))
        self._last = time, rgb
        self._examine(first, rgb)

    def end(self) -> None:
        """Say that there are no more frames: the cuts before the end are known then."""
        if self._last is not None:
            for _ in range(WINDOW):  # so that the window covers the last frames
                self._examine(self._end, self._last[1])
            self._last = None

    def shots(self) -> list[Span]:
        """End the film; return the shots as `find_shots` does."""
        self.end()
        small = self._shown.whole()
        transitions = find_transitions(small)
        spans = _edges([cut - self._begin for cut in self.cuts], transitions, small)
        found = [part for span in spans for part in without(transitions, *span)]
        moved = [(start + self._begin, end + self._begin) for start, end in found]
        first, last = self._span
        inside = [shot for shot in moved if shot[0] < last and shot[1] > first]
        return [(max(start, first - 1), min(end, last + 1)) for start, end in inside]

    def _examine(self, first: int, rgb: Picture8) -> None:
        self._firsts.append(first)
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        found = self._detector.process_frame(FrameTimecode(len(self._firsts) - 1, float(FPS)), bgr)
        for cut in found:
            at = self._firsts[cut.frame_num]
            inside = self._begin < at < self._end
            if inside and self._detector.last_is_clear(self._params.adaptive_threshold):
                self.cuts.append(at)


class _ShownPictures:
    """A small grey picture per grid frame, from the pictures of a film in order."""

    def __init__(self, begin: int, end: int) -> None:
        self._small = np.zeros((end - begin, SMALL_H, SMALL_W), np.uint8)
        self._begin = begin
        self._first = 0
        """Where the last picture begins."""
        self._last: Picture8 | None = None

    def put(self, first: int, grey: Picture8) -> None:
        """Add a picture that is shown from a grid frame on; one before or at it is replaced."""
        at = max(0, first - self._begin)
        if self._last is not None:
            self._small[self._first : at] = self._last
        self._first, self._last = at, grey

    def whole(self) -> Small:
        """Return (T, H, W); the last picture is shown to the end."""
        if self._last is not None:
            self._small[self._first :] = self._last
        return self._small


class _Detector(AdaptiveDetector):  # type: ignore[misc] # scenedetect has no types
    """The adaptive detector, with colours weighed by how well they can be seen.

    As published, the mean change of hue, saturation and value. In the dark and in grey the hue and
    the saturation of a pixel are noise, as large as the change at a cut: here hue counts by the
    pixel's saturation times value, saturation by its value. A dark picture's own light is raised.
    """

    _last_frame: "_Hsv | None"

    def last_is_clear(self, ratio: float) -> bool:
        """Return whether the cut that was returned last stands out of its window by `ratio`."""
        scores = [score for _, score in self._buffer]
        change = scores.pop(WINDOW)
        if max(scores) >= SECOND_CUT * change:  # the way back from an insert of a frame or two
            scores.remove(max(scores))
        beside = float(np.mean(scores))
        return bool(change >= ratio * beside and change**2 >= CLEAR_CUT * beside)

    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: Picture8) -> float:
        hsv = _Hsv.of(frame_img)
        last, self._last_frame = self._last_frame, hsv
        return 0.0 if last is None else _content_change(last, hsv)


@dataclass(frozen=True, slots=True)
class _Hsv:
    """The planes of a picture, and the value that one pixel in twenty exceeds."""

    planes: list[Picture8]
    light: float

    @classmethod
    def of(cls, bgr: Picture8) -> "_Hsv":
        planes = [
            np.asarray(plane, np.uint8) for plane in cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV))
        ]
        values = planes[2].ravel()[::3]  # every third pixel is enough
        rank = int(0.95 * (len(values) - 1))
        return cls(planes, float(np.partition(values, rank)[rank]))


def _content_change(last: _Hsv, now: _Hsv) -> float:
    """Return the weighed mean change of two pictures, in the unit of `min_content_val`."""
    hue, saturation, value = (
        np.asarray(cv2.absdiff(*pair)) for pair in zip(last.planes, now.planes, strict=True)
    )
    hue = np.minimum(hue, 180 - hue)
    seen_s, seen_v = (np.minimum(last.planes[k], now.planes[k]) for k in (1, 2))
    gain = min(max(FULL_LIGHT / max(last.light, now.light, 1.0), 1.0), MAX_GAIN)
    coloured = hue * (seen_s * np.float32(1 / 255)) + saturation
    total = float((coloured * (seen_v * np.float32(1 / 255))).sum()) + gain * float(value.sum())
    return total / value.size * SCALE


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
