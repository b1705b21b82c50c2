"""Correlation of lip opening and loudness: an AV offset without any training.

The landmark judge is trained on clips without labels, so its training needs an offset that does not
come from training on them. In speech, the opening of the lips correlates with the loudness, and so
do their changes; the correlation is highest at the true offset. On one short clip it is imprecise,
but it uses no weights and no labels: a judge that agrees with it has not learnt that from labels.

Shape suffixes: T frames, C columns, S = 4 T mel steps, K offsets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.judge.landmark.features import STEPS_PER_FRAME
from trainers.systems.landmark_judge.speech_clips import SpeechClip, segment

MAX_OFFSET_FRAMES = 18
"""Three more than the judge's: a maximum at the border is no maximum."""
VOICE = slice(12, 32)
"""Mel bands from 0.8 to 3.4 kHz: vowels, without hum and hiss."""
BRIGHT = slice(22, 32)
"""Its upper half: correlates a little better with the opening."""
LOWER, UPPER = slice(3, 8), slice(13, 18)
"""Positions on a contour of 20 lip points, see pipeline/faces/schemas.py."""
LAG_FRAMES = 0.21
"""By this the correlation of the GRID clips peaks too early (mean of those on which it is clear).
GRID was recorded in a laboratory with picture and sound on one clock: it defines offset 0."""
CLEAR = 0.10
"""Prominence (over all maxima more than 3 frames away) above which a maximum is accepted alone."""
AUDIBLE = 0.05
"""Prominence above which a maximum is accepted if another estimate agrees to one frame. The card
states how often foreign sound reaches it (`chance_rate`)."""
BELIEVED_FRAMES = 10.0
"""A maximum further out is rather chance: in 37 offsets, chance has most of its room there."""
CHANCE_STEPS = (7, 17, 29, 41)
"""So many files further on in the alphabet stands the file whose sound is borrowed."""
_NEAR_FRAMES = 3

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CorrelationPeak:
    """What the correlation says of one file."""

    offset_frames: float
    """Sub-frame; positive = audio early."""
    prominence: float
    """Highest correlation minus the highest one more than 3 frames away."""

    @property
    def clear(self) -> bool:
        """Whether it is accepted without another estimate."""
        return self.stands_out(CLEAR)

    def agrees_with(self, offset_frames: float) -> bool:
        """Say whether it is audible and within one frame of somebody else's answer."""
        return self.stands_out(AUDIBLE) and abs(self.offset_frames - offset_frames) <= 1

    def stands_out(self, prominence: float) -> bool:
        """Say whether the maximum is that prominent, and not too far out to be likely."""
        return self.prominence >= prominence and abs(self.offset_frames) <= BELIEVED_FRAMES


def correlation_by_file(clips: Iterable[SpeechClip]) -> dict[str, CorrelationPeak]:
    """Return what the correlation says of every file, by its name: all its clips count together."""
    files: dict[str, list[SpeechClip]] = {}
    for clip in clips:
        files.setdefault(clip.name, []).append(clip)
    return {name: correlation_peak(parts) for name, parts in sorted(files.items())}


def chance_rate(clips: Sequence[SpeechClip], prominence: float) -> float:
    """Return the share of files that stand out by this much with the sound of another file."""
    files: dict[str, list[SpeechClip]] = {}
    for clip in clips:
        files.setdefault(clip.name, []).append(clip)
    names = sorted(files)
    found = [
        correlation_peak(_with_audio_of(files[name], files[names[(index + step) % len(names)]]))
        for index, name in enumerate(names)
        for step in CHANCE_STEPS
    ]
    return float(np.mean([one.stands_out(prominence) for one in found]))


def _with_audio_of(parts: Sequence[SpeechClip], others: Sequence[SpeechClip]) -> list[SpeechClip]:
    """Put the sound of one file's clips under the pictures of another's."""
    pairs = zip(parts, others, strict=False)
    frames = [(a, b, min(a.num_frames, b.num_frames)) for a, b in pairs]
    return [replace(segment(a, 0, 0, n), mel=segment(b, 0, 0, n).mel) for a, b, n in frames]


def correlation_peak(parts: Sequence[SpeechClip]) -> CorrelationPeak:
    """Find the offset at which the clips of one file correlate best."""
    lengths = np.array([part.num_frames for part in parts], dtype=np.float64)
    curves = np.stack([correlations(part) for part in parts])
    return _peak_of_curve(np.average(curves, axis=0, weights=lengths))


def correlations(clip: SpeechClip) -> Doubles:
    """Return (37,) the mean correlation of three pairs at offsets -18 ... +18."""
    lips, sound = _even(openings(clip)), _even(loudness(clip))
    span = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    return np.array([_correlation(lips, sound, offset) for offset in span])


def openings(clip: SpeechClip) -> Doubles:
    """Return (T, 3): opening of the inner and the outer rim, and how fast both change."""
    rims = clip.shape[:, :-1].reshape(clip.num_frames, 2, 20, 3)[..., 1].astype(np.float64)
    outer, inner = (rims[:, k, LOWER].mean(axis=1) - rims[:, k, UPPER].mean(axis=1) for k in (0, 1))
    speed = np.abs(np.gradient(outer)) + np.abs(np.gradient(inner))
    return np.stack([inner, outer, speed], axis=1)


def loudness(clip: SpeechClip) -> Doubles:
    """Return (T, 3): what goes with each column of `openings`; log power, and how fast it changes.

    Power is averaged over 50 ms around the start of each frame.
    """
    half = STEPS_PER_FRAME // 2
    padded = np.pad(clip.mel.astype(np.float64), ((half, half), (0, 0)), mode="edge")
    steps = [padded[k : k + len(clip.mel) : STEPS_PER_FRAME] for k in range(2 * half + 1)]
    frames = np.mean(steps, axis=0)
    bright = frames[:, BRIGHT].mean(axis=1)
    change = np.abs(np.gradient(frames[:, VOICE].mean(axis=1)))
    return np.stack([bright, bright, change], axis=1)


def _even(series_TC: Doubles) -> Doubles:
    """Take slow movement off (over 1.2 s) and even out the strength (over 2 s)."""
    slow = np.hanning(33)[1:-1]
    fast = series_TC - _smoothed(series_TC, slow / slow.sum(), "edge")
    power = _smoothed(fast**2, np.full(51, 1 / 51), "reflect")
    return np.asarray(fast / np.sqrt(power + 0.2 * fast.var(axis=0) + 1e-12))


def _smoothed(series_TC: Doubles, kernel: Doubles, mode: Literal["edge", "reflect"]) -> Doubles:
    half = len(kernel) // 2
    padded = np.pad(series_TC, ((half, half), (0, 0)), mode=mode)
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)


def _correlation(lips_TC: Doubles, sound_TC: Doubles, offset: int) -> float:
    frames = len(lips_TC)
    rows = np.arange(max(0, offset), min(frames, frames + offset))
    lips = lips_TC[rows] - lips_TC[rows].mean(axis=0)
    sound = sound_TC[rows - offset] - sound_TC[rows - offset].mean(axis=0)
    power = (lips**2).sum(axis=0) * (sound**2).sum(axis=0)
    return float(((lips * sound).sum(axis=0) / np.sqrt(power + 1e-9)).mean())


def _peak_of_curve(curve_K: Doubles) -> CorrelationPeak:
    inner = curve_K[_NEAR_FRAMES:-_NEAR_FRAMES]
    best = int(inner.argmax()) + _NEAR_FRAMES
    places = np.arange(len(curve_K))
    others = curve_K[(np.abs(places - best) > _NEAR_FRAMES)]
    before, here, after = curve_K[best - 1 : best + 2]
    bend = before - 2 * here + after
    vertex = 0.5 * (before - after) / bend if bend < 0 else 0.0
    vertex = float(np.clip(vertex, -0.5, 0.5))
    offset = best - MAX_OFFSET_FRAMES + vertex + LAG_FRAMES
    return CorrelationPeak(offset, float(here - others.max()))
