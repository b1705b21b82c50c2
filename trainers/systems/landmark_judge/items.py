"""Training chunks for the landmark judge, drawn and augmented from (seed, step) alone.

Shape suffixes: B chunks, T frames, V visual features, S = 4 T mel steps, M mel bands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor

from pipeline.faces.schemas import CONTOUR_POINTS
from pipeline.judge.landmark.features import (
    NUM_MELS,
    STEPS_PER_FRAME,
    VISUAL_SIZE,
    centred,
    normalised,
)
from pipeline.judge.landmark.points import as_insightface106
from trainers.systems.landmark_judge.speech_clips import Floats, SpeechClip

_RING = (10 - np.arange(CONTOUR_POINTS)) % CONTOUR_POINTS
WOBBLE_FRAMES = 15
"""Time between two random poses of the head: 0.6 s."""
MIRRORED_POINTS = np.concatenate([_RING, _RING + CONTOUR_POINTS])


@dataclass(frozen=True, slots=True)
class ChunkAugmentation:
    """How strongly chunks are distorted."""

    max_turn_deg: float = 25.0
    max_stretch: float = 0.25
    wobble_share: float = 0.5
    """Share of chunks in which the head turns while it speaks."""
    max_wobble_deg: float = 12.0
    point_noise: float = 0.01
    flatten_share: float = 0.3
    """Share of chunks without depth."""
    sparse_share: float = 0.3
    """Share of chunks as InsightFace's 20 mouth points would show them, filled up to 40, flat."""
    max_speed: float = 1.15
    noise_share: float = 0.5
    max_snr_nats: float = 4.0
    mask_share: float = 0.5
    max_mask_bands: int = 8
    context_frames: tuple[int, int] = (75, 250)
    """Centring and normalisation see this much around the chunk, as on clips of 3 to 10 s."""


class ChunkBatches:
    """Draws batches of chunks."""

    def __init__(
        self,
        clips: Sequence[SpeechClip],
        frames: int,
        batch: int,
        seed: int,
        how: ChunkAugmentation,
    ) -> None:
        self.clips = [clip for clip in clips if clip.num_frames >= int(frames * how.max_speed) + 2]
        if not self.clips:
            raise ValueError(f"no clip is long enough for chunks of {frames} frames")
        self.frames, self.batch, self.seed, self.how = frames, batch, seed, how
        lengths = np.sqrt([clip.num_frames for clip in self.clips])
        self.chance = lengths / lengths.sum()

    def batch_at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return mouth shapes (B, T, 121) and log-mels (B, 4 T, 40): a function of the step."""
        rng = np.random.default_rng((self.seed, step))
        picks = rng.choice(len(self.clips), size=self.batch, p=self.chance)
        pairs = [self._chunk(self.clips[pick], rng) for pick in picks]
        shapes, mels = (np.stack(side) for side in zip(*pairs, strict=True))
        return torch.from_numpy(shapes), torch.from_numpy(mels)

    def _chunk(self, clip: SpeechClip, rng: np.random.Generator) -> tuple[Floats, Floats]:
        how = self.how
        speed = float(np.exp(rng.uniform(-1, 1) * np.log(how.max_speed)))
        need = int(np.ceil(self.frames * speed)) + 1
        context = min(clip.num_frames, max(need, int(rng.integers(*how.context_frames))))
        start = int(rng.integers(clip.num_frames - context + 1))
        inner = int(rng.integers(context - need + 1))
        shape = centred(self._wobbled(clip.shape[start : start + context], rng))
        shape = _resampled(shape[inner : inner + need], self.frames, speed)
        mel = clip.mel[STEPS_PER_FRAME * start : STEPS_PER_FRAME * (start + context)]
        mel = normalised(self._noisy(mel, rng))
        mel = mel[STEPS_PER_FRAME * inner : STEPS_PER_FRAME * (inner + need)]
        mel = _resampled(mel, STEPS_PER_FRAME * self.frames, speed)
        return self._moved(shape, rng), self._masked(mel, rng)

    def _wobbled(self, shape_TV: Floats, rng: np.random.Generator) -> Floats:
        """Turn the head to and fro: movement of the lips' picture that is not speech."""
        if rng.random() >= self.how.wobble_share:
            return shape_TV
        knots = np.arange(-WOBBLE_FRAMES, len(shape_TV) + 2 * WOBBLE_FRAMES, WOBBLE_FRAMES)
        drawn = rng.normal(0, self.how.max_wobble_deg * rng.random() / 2, (len(knots), 2))
        angles = CubicSpline(knots, np.deg2rad(drawn))(np.arange(len(shape_TV)))
        points = shape_TV[:, :-1].reshape(len(shape_TV), -1, 3)
        turned = np.einsum("tpc,tdc->tpd", points, _turns(angles[:, 0], angles[:, 1]))
        flat = turned.reshape(len(turned), -1)
        return np.concatenate([flat, shape_TV[:, -1:]], axis=1).astype(np.float32)

    def _moved(self, shape_TV: Floats, rng: np.random.Generator) -> Floats:
        how = self.how
        points: NDArray[Any] = shape_TV[:, :-1].reshape(len(shape_TV), -1, 3)
        if rng.random() < 0.5:
            points = points[:, MIRRORED_POINTS] * np.array([-1, 1, 1], np.float32)
        stretch = 1 + rng.uniform(-1, 1, 3) * how.max_stretch
        points = points @ (_rotation(rng, how.max_turn_deg) * stretch[:, None]).T
        flat = rng.random() < how.flatten_share
        if rng.random() < how.sparse_share:
            points, flat = as_insightface106(points), True
        points = points + rng.normal(0, how.point_noise, points.shape) * rng.random() ** 2
        points[..., 2] *= float(not flat)
        drop = shape_TV[:, -1:] * (1 + rng.uniform(-1, 1) * how.max_stretch)
        drop = drop * float(rng.random() >= 0.1)
        return np.concatenate([points.reshape(len(points), -1), drop], axis=1).astype(np.float32)

    def _noisy(self, mel_SM: Floats, rng: np.random.Generator) -> Floats:
        how = self.how
        tilt = np.linspace(-1, 1, NUM_MELS) * rng.uniform(-1.5, 1.5)
        mel = mel_SM + tilt + rng.normal(0, 0.2, NUM_MELS)
        if rng.random() < how.noise_share:
            mel = np.logaddexp(mel, self._noise(mel, rng))
        return np.asarray(mel, dtype=np.float32)

    def _noise(self, mel_SM: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Return hiss, or (half of the time) another clip's sound, below the loud parts."""
        loud = np.quantile(mel_SM.max(axis=1), 0.9) - rng.uniform(1, 1 + self.how.max_snr_nats)
        if rng.random() < 0.5:
            tilt = np.linspace(1, -1, NUM_MELS) * rng.uniform(0, 2)
            return np.asarray(loud - 2 + tilt + rng.normal(0, 0.5, mel_SM.shape))
        other = self.clips[int(rng.integers(len(self.clips)))].mel
        other = np.take(other, np.arange(len(mel_SM)) + rng.integers(len(other)), 0, mode="wrap")
        return np.asarray(other - np.quantile(other.max(axis=1), 0.9) + loud)

    def _masked(self, mel_SM: Floats, rng: np.random.Generator) -> Floats:
        if rng.random() < self.how.mask_share:
            bands = int(rng.integers(1, self.how.max_mask_bands + 1))
            low = int(rng.integers(NUM_MELS - bands + 1))
            mel_SM = mel_SM.copy()
            mel_SM[:, low : low + bands] = 0
        return mel_SM


def visual_std(clips: Sequence[SpeechClip]) -> Tensor:
    """Return the standard deviation (121,) of centred mouth shapes over all frames."""
    frames = np.concatenate([centred(clip.shape) for clip in clips])
    spread = np.sqrt((frames.astype(np.float64) ** 2).mean(axis=0))
    assert spread.shape == (VISUAL_SIZE,)
    return torch.from_numpy(np.maximum(spread, 1e-4).astype(np.float32))


def _resampled(values: Floats, length: int, speed: float) -> Floats:
    """Read `length` steps, `speed` steps apart, by linear interpolation."""
    where = np.minimum(np.arange(length) * speed, len(values) - 1)
    low = np.floor(where).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (where - low)[:, None].astype(np.float32)
    return np.asarray(values[low] * (1 - share) + values[high] * share, dtype=np.float32)


def _turns(yaw_T: NDArray[Any], pitch_T: NDArray[Any]) -> NDArray[Any]:
    """Return (T, 3, 3): first yaw, then pitch, in radians."""
    cy, sy, cp, sp = np.cos(yaw_T), np.sin(yaw_T), np.cos(pitch_T), np.sin(pitch_T)
    zero = np.zeros_like(cy)
    rows = [[cy, zero, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]]
    return np.moveaxis(np.array(rows), -1, 0)


def _rotation(rng: np.random.Generator, max_deg: float) -> NDArray[np.float64]:
    """Return a random turn of the head: yaw, pitch and a little roll."""
    yaw, pitch, roll = np.deg2rad(rng.uniform(-1, 1, 3) * [max_deg, max_deg / 2, max_deg / 5])
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)
