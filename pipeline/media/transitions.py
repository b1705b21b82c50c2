"""Dissolves, fades and flashes, found on small grey pictures of every frame of the 25 fps grid.

A dissolve mixes two pictures: whatever lies between its ends is (1 - a) * first + a * last, with a
growing from 0 to 1. Movement is not: a frame between two others shows the edges at a third place.
So for windows of several lengths around every frame the residual of that mix is measured, as a
share of the change from the window's first to its last frame. On 73 clips of talking people (20,000
frames) no window whose ends correlate by r has a residual below 0.10 + 0.26 * (0.85 - r), but for
true fades. Of 1,050 dissolves between two of these clips 95 to 99 % are found with 5 to 35 frames,
85 % with 50. One that changes a small part of the picture only (two faces before the same
background) is not.

A fade is a loss of contrast down to an even picture. A flash is either, or a picture that is only
brighter or darker, after which the old picture is back within about a second.

Shapes: T frames of the grid, H x W = 12 x 16 pixels.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.runs import runs_of

SMALL_W, SMALL_H = 16, 12
Span = tuple[int, int]
"""[first frame, end frame) of the 25 fps grid."""
Small = NDArray[np.uint8]
"""(T, H, W) grey, 0 to 255."""

HALF_WINDOWS = (3, 5, 8, 12, 16, 20, 26, 32)
"""Half lengths of the windows, in frames: dissolves of up to 64 frames."""
MIN_CHANGE = 8.0
"""Mean change of grey, less its mean, between the ends of a window; smaller ones are left to the
tracker."""
MAX_CORRELATION = 0.85
"""Ends that correlate more show one picture, moved or in another light."""
MIN_CONTRAST = 4.0
"""Standard deviation of grey; an even picture has less."""
RESIDUAL, RESIDUAL_SLOPE, MAX_RESIDUAL = 0.09, 0.23, 0.17
"""Largest residual of a dissolve at MAX_CORRELATION, its growth, and its end: 10 % below every real
clip."""
SHORT_WINDOW, SHORT_RESIDUAL = 8, 0.10
"""Windows with a smaller half length have this limit: a pan over a texture, too, is a mix for some
frames (residual from 0.16 on); of dissolves of 5 to 8 frames 99 % stay below."""
MIN_STEP = 0.08
"""By how much the share of the new picture grows from quarter to quarter of a window."""
WIPE_RESIDUAL, WIPE_STEP, CHANGED = 0.19, 0.12, 12.0
"""Largest distance from the nearer end, as a share of the change; least growth of the share of the
last picture from quarter to quarter; grey levels by which a pixel counts as changed. No window of
76 clips (20,800 frames) is below 0.23; of 300 wipes between two of them (left, up, a growing
circle) of 15 frames and more 95 % have one below 0.19, of those of 8 frames a third."""
MOVEMENT = 0.22
"""A window of which shift and light leave less than this share of the change (in squares) shows one
picture: a still that slides leaves up to 0.2; of dissolves between two of the 73 clips 3 % leave
less than 0.22."""
SHIFTS, EDGE = tuple(np.arange(-2.0, 2.01, 0.25).tolist()), 1
"""Tried in both directions, in small pixels; the outermost pixels are not compared."""
PURE = 0.04
"""A frame with less than this share of the other picture belongs to its shot."""
MARGIN, MARGIN_SHARE = 1, 6
"""Frames added at both ends of a dissolve, and one more per MARGIN_SHARE frames of its half: people
move meanwhile, so that the ends of the best window may lie a little inside of the dissolve."""
BLOCK = 4096
"""Frames examined at once: bounds the memory."""

MAX_FADE = 60
"""Frames of one side of a fade."""
CONTRAST_STEP = 1.004
"""Growth of the contrast from frame to frame within a fade, as a factor."""
LOST_CONTRAST = 0.12
"""An even picture has less than this share of the contrast beside it."""
MAX_EVEN = 50
"""A longer stretch of even pictures is a shot, not a part of a fade."""

MAX_FLASH = 28
"""Frames after which the old picture must be back: a second and some."""
RETURN_SHARE = 0.25
"""After a flash the picture differs from the old one by less than this share of the change."""
FLASH_CORRELATION = 0.6
ONE_SIDED = 0.9
"""A flash only brightens or only darkens: this share of the change has one sign."""

WHITE, BLACK, MOSTLY = 240, 12, 0.5
"""Half of a flash is white or black, or the old picture is seen where it is neither."""


def small_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a picture (h, w, 3) to the grey (H, W) that this module works on."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SMALL_W, SMALL_H), interpolation=cv2.INTER_AREA), np.uint8)


def find_transitions(small: Small) -> list[Span]:
    """Return dissolves and fades, ascending and disjoint."""
    spans = merged([*_dissolves(small), *_fades(small)], touching=True)
    return [span for span in spans if not _is_flash(small, *span)]


def begins_in_flash(small: Small, cut: int) -> bool:
    """Return whether the film up to `cut` is a flash: no other picture than the one at `cut`."""
    return cut <= MAX_FLASH and all(_only_light(small[cut], one) for one in small[:cut])


def flash_end(small: Small, start: int) -> int | None:
    """Return the first frame after the flash that begins at `start`; None if there is no flash."""
    if not 0 < start < len(small):
        return None
    before, largest = small[start - 1], 0.0
    for frame in range(start, min(start + MAX_FLASH, len(small))):
        change = _difference(before, small[frame])
        if change < RETURN_SHARE * largest:
            return frame
        if not _only_light(before, small[frame]):
            return None
        largest = max(largest, change)
    return None


def _only_light(before: NDArray[np.uint8], during: NDArray[np.uint8]) -> bool:
    """Return whether `during` is even, or `before` brightened or darkened."""
    old, new = before.astype(np.float64), during.astype(np.float64)
    if new.std() < max(MIN_CONTRAST, 0.25 * old.std()):
        return True
    change = new - old
    total = max(float(np.abs(change).sum()), 1e-9)
    one_sided = max(float(change.clip(min=0).sum()), float((-change).clip(min=0).sum())) / total
    seen = (new > BLACK) & (new < WHITE)
    return one_sided >= ONE_SIDED and (
        float(seen.mean()) <= 1 - MOSTLY or _correlation(old[seen], new[seen]) >= FLASH_CORRELATION
    )


def _difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(np.float64) - other).mean())


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))


def merged(spans: Iterable[Span], touching: bool) -> list[Span]:
    """Return the spans, ascending and disjoint; those with frames in common are one.

    Args:
        touching: also those of which one begins where the other ends.
    """
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin < found[-1][1] + touching:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


@dataclass(frozen=True, slots=True)
class _Window:
    """A window that looks like a mix of its two ends."""

    middle: int
    half: int
    change: float


def _dissolves(small: Small) -> Iterator[Span]:
    """Yield a span per group of windows: that of the window with the largest change."""
    group: list[_Window] = []
    for one in sorted(_mixed_windows(small), key=lambda window: window.middle):
        if group and one.middle - group[-1].middle > max(one.half, group[-1].half):
            yield _extent(small, max(group, key=lambda window: window.change))
            group = []
        group.append(one)
    if group:
        yield _extent(small, max(group, key=lambda window: window.change))


def _mixed_windows(small: Small) -> Iterator[_Window]:
    for half in HALF_WINDOWS:
        for begin in range(0, len(small) - 2 * half, BLOCK):
            block = small[begin : begin + BLOCK + 2 * half].astype(np.float32)
            wiped = _is_wipe(block, half)
            block -= block.mean(axis=(1, 2), keepdims=True)
            mixed, change = _is_mix(block, half)
            mixed |= wiped & (change > MIN_CHANGE)
            for at in np.flatnonzero(mixed).tolist():
                if not _is_movement(block[at], block[at + 2 * half]):
                    yield _Window(begin + at + half, half, float(change[at]))


def _is_mix(block: NDArray[np.float32], half: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return for each window that begins in the block whether it is a mix, and its change."""
    count = len(block) - 2 * half
    first, last = block[:count], block[2 * half :]
    way = last - first
    change = np.abs(way).mean(axis=(1, 2))
    square = np.maximum((way * way).sum(axis=(1, 2)), 1e-3)
    shares, residuals = [], []
    for step in (half // 2, half, 2 * half - half // 2):
        moved = block[step : step + count] - first
        share = (moved * way).sum(axis=(1, 2)) / square
        residuals.append(np.abs(moved - share[:, None, None] * way).mean(axis=(1, 2)))
        shares.append(share)
    residual = np.mean(residuals, axis=0) / np.maximum(change, 1e-3)
    alike, contrast = _likeness(first, last)
    grows = (np.diff([0 * change, *shares, 0 * change + 1], axis=0) > MIN_STEP).all(axis=0)
    limit = RESIDUAL + RESIDUAL_SLOPE * (MAX_CORRELATION - alike.clip(min=0))
    limit = np.minimum(limit, MAX_RESIDUAL if half >= SHORT_WINDOW else SHORT_RESIDUAL)
    fits = (residual < limit) & (alike < MAX_CORRELATION) & (contrast > MIN_CONTRAST)
    return np.asarray(fits & grows & (change > MIN_CHANGE)), change


def _is_wipe(block: NDArray[np.float32], half: int) -> NDArray[np.bool_]:
    """Return for each window that begins in the block whether it is a wipe: every pixel shows one
    of its two ends, and more and more of them the last one.
    """
    count = len(block) - 2 * half
    first, last = block[:count], block[2 * half :]
    change = np.abs(last - first)
    changed = change > CHANGED
    total = np.maximum(changed.sum(axis=(1, 2)), 1)
    shares, left = [], []
    for step in (half // 2, half, 2 * half - half // 2):
        shown = block[step : step + count]
        to_first, to_last = np.abs(shown - first), np.abs(shown - last)
        nearer = np.minimum(to_first, to_last).mean(axis=(1, 2))
        left.append(nearer / np.maximum(change.mean(axis=(1, 2)), 1e-3))
        shares.append(((to_last < to_first) & changed).sum(axis=(1, 2)) / total)
    nothing = np.zeros(count)
    grows = (np.diff([nothing, *shares, nothing + 1], axis=0) > WIPE_STEP).all(axis=0)
    centred = (one - one.mean(axis=(1, 2), keepdims=True) for one in (first, last))
    alike, contrast = _likeness(*centred)
    differs = (alike < MAX_CORRELATION) & (contrast > MIN_CONTRAST)
    return np.asarray((np.max(left, axis=0) < WIPE_RESIDUAL) & grows & differs)


def _is_movement(first: NDArray[np.float32], last: NDArray[np.float32]) -> bool:
    """Return whether the last picture is the first one moved, and lighter or darker.

    A movement of less than one of the small pixels is a mix of its ends, too.
    """
    change = float(((last - first) ** 2)[EDGE:-EDGE, EDGE:-EDGE].sum())
    return min(_unexplained(first, last, y, x) for y in SHIFTS for x in SHIFTS) < MOVEMENT * change


def _unexplained(
    first: NDArray[np.float32], last: NDArray[np.float32], y: float, x: float
) -> float:
    """Return what a shift and a change of light leave of the difference, in squares."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    moved = cv2.warpAffine(
        first, matrix, first.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    moved, wanted = (one[EDGE:-EDGE, EDGE:-EDGE] for one in (moved, last))
    light = float((moved * wanted).sum() / max(float((moved * moved).sum()), 1e-3))
    return float(((wanted - light * moved) ** 2).sum())


def _likeness(
    first: NDArray[np.float32], last: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the correlation of both pictures, and the smaller of their contrasts; (T,) each."""
    a, b = (x - x.mean(axis=(1, 2), keepdims=True) for x in (first, last))
    var_a, var_b = (a * a).mean(axis=(1, 2)), (b * b).mean(axis=(1, 2))
    alike = (a * b).mean(axis=(1, 2)) / np.sqrt(np.maximum(var_a * var_b, 1e-6))
    return alike, np.sqrt(np.minimum(var_a, var_b))


def _extent(small: Small, window: _Window) -> Span:
    """Return the frames around the window's middle that hold a share of both its ends."""
    low, high = window.middle - window.half, window.middle + window.half
    pictures = small[low : high + 1].astype(np.float64)
    way = pictures[-1] - pictures[0]
    shares = ((pictures - pictures[0]) * way).sum(axis=(1, 2)) / (way * way).sum()
    begin = end = window.half
    while begin > 0 and shares[begin - 1] > PURE:
        begin -= 1
    while end < len(shares) and shares[end] < 1 - PURE:
        end += 1
    margin = MARGIN + window.half // MARGIN_SHARE
    return max(0, low + begin - margin), min(len(small), low + end + margin)


def _fades(small: Small) -> Iterator[Span]:
    contrast = np.concatenate(
        [small[i : i + BLOCK].std(axis=(1, 2)) for i in range(0, len(small), BLOCK)] or [[]]
    )
    for begin, end in runs_of(contrast < MIN_CONTRAST):
        yield from _fade(small, contrast, begin, end)


def _fade(small: Small, contrast: NDArray[np.float64], begin: int, end: int) -> Iterator[Span]:
    """Yield the fades around even pictures [begin, end); none where they are a flash."""
    beside = [*contrast[max(0, begin - MAX_FADE) : begin], *contrast[end : end + MAX_FADE]]
    if float(np.median(contrast[begin:end])) > LOST_CONTRAST * max(beside, default=0.0):
        return
    first = begin - _ramp(contrast[max(0, begin - MAX_FADE) : begin + 1][::-1])
    after = end + _ramp(contrast[end - 1 : end + MAX_FADE])
    if end - begin <= MAX_EVEN:
        yield first, after
    else:
        yield from (span for span in ((first, begin), (end, after)) if span[0] < span[1])


def _ramp(contrast: NDArray[np.float64]) -> int:
    """Return how many frames after the first one the contrast still grows, the last not counted."""
    steps = 0
    for here, *following in zip(contrast, contrast[1:], [*contrast[2:], 0.0], strict=False):
        if max(following) <= CONTRAST_STEP * here:
            break
        steps += 1
    return max(0, steps - 1)


def _is_flash(small: Small, first: int, after: int) -> bool:
    """Return whether a transition lies in a flash: a rise or a fall of light, and back."""
    if after - first > MAX_FLASH:
        return False
    if first == 0 or after >= len(small):
        return first == 0 and begins_in_flash(small, after)
    margin = MARGIN + MAX_FLASH // MARGIN_SHARE
    starts = range(max(1, after - MAX_FLASH), first + 1)
    return any((flash_end(small, one) or 0) >= after - margin for one in starts)


def without(spans: Sequence[Span], begin: int, end: int) -> list[Span]:
    """Return what `spans`, ascending and disjoint, leave of [begin, end)."""
    inside = [min(max(edge, begin), end) for span in spans for edge in span]
    edges = [begin, *inside, end]
    return [(a, b) for a, b in list(pairwise(edges))[::2] if a < b]
