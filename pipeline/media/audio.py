"""Audio of a video: 16 kHz mono on the clock of the frames.

Sample n lies n / 16000 s after the presentation of the first frame. A late start, a negative start,
the priming of an AAC encoder, an edit list or a gap in the timestamps never shift the audio: every
decoded frame is placed by its own presentation time, and gaps are silence.
"""

import os
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StorageError
from pipeline.media.container import open_media
from pipeline.media.decoding import Damage, decode_sound
from pipeline.media.layout import Layout, read_layout
from pipeline.media.mix import Weights, as_mono, measure_mix
from pipeline.media.samples import as_int16
from pipeline.tables.rows import SAMPLE_RATE_HZ

JUMP_S = 0.03
"""A frame this far from where its predecessor ended begins a new run at once."""
DRIFT_S = 0.004
"""A smaller distance is jitter of the timestamps, unless it lasts for DRIFT_LASTS_S."""
DRIFT_LASTS_S = 0.25


def decode_audio(
    path: Path,
    start_s: float,
    num_samples: int,
    out: Path | None = None,
    damage: Damage | None = None,
) -> NDArray[np.int16]:
    """Decode the sound: the track of `media.layout`, its channels mixed as `media.mix` measured.

    A mono or stereo track is averaged as a rule, so that speech in one channel only is kept at
    half its amplitude. Samples beyond full scale, which lossy codecs produce, are clipped. A
    packet that does not decode is silence at its place, and so is the frame behind it.

    Args:
        start_s: time of sample 0 in the file's own time: `Probe.video_start_s`.
        num_samples: length of the result, `Probe.num_frames` * 640; the rest is silence.
        out: file to hold the samples, so that an hour needs no memory; None keeps them in memory.
        damage: counts the packets that do not decode.

    Returns:
        (num_samples,) int16 at 16 kHz; a memory map of `out` where that is given.

    Raises:
        DecodeError: no audio stream, or not one packet of it decodes.
        StorageError: no room for `out`.
        MediaError: as `read_layout`.
    """
    layout = read_layout(path)
    samples = np.zeros(num_samples, np.int16) if out is None else _on_disk(out, num_samples)
    weights = _weights(path, layout)
    with open_media(path) as container:
        run: _ContinuousRun | None = None
        for frame, broken in decode_sound(container, layout, damage):
            if run and (broken or run.ends_before(frame)):
                run.flush()
                run = None
            if broken:  # lossy codecs overlap: half of this frame is the lost one's
                continue
            run = run or _ContinuousRun(samples, start_s, frame, weights)
            run.add(frame)
            if run.cursor >= num_samples:
                break
        if run:
            run.flush()
    return samples


def _weights(path: Path, layout: Layout) -> Weights:
    """Decode the sound once to measure its channels; a mono track has none to measure."""
    with open_media(path) as container:
        frames = decode_sound(container, layout)
        first, _ = next(frames)
        if len(first.layout.channels) == 1:
            return {}
        return measure_mix(chain([first], (frame for frame, _ in frames)))


def _on_disk(path: Path, num_samples: int) -> NDArray[np.int16]:
    """Return silence in a file of reserved blocks: a full disk must not raise SIGBUS later."""
    try:
        with path.open("wb") as file:
            reserve = getattr(os, "posix_fallocate", None)  # macOS has none
            if reserve is not None:
                reserve(file.fileno(), 0, 2 * num_samples)
            file.truncate(2 * num_samples)
        return np.memmap(path, np.int16, "r+", shape=(num_samples,))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


class _ContinuousRun:
    """Consecutive frames without a gap, resampled as one signal."""

    def __init__(
        self,
        samples: NDArray[np.int16],
        start_s: float,
        first: av.AudioFrame,
        weights: Weights,
    ) -> None:
        self._samples, self._weights = samples, weights
        self._rate = first.sample_rate
        self._begin_s = start_s if first.time is None else first.time
        self._taken = 0
        self._drifts_since: int | None = None
        self.cursor = round((self._begin_s - start_s) * SAMPLE_RATE_HZ)
        self._resampler = (
            None
            if self._rate == SAMPLE_RATE_HZ
            else av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        )

    def ends_before(self, frame: av.AudioFrame) -> bool:
        """Return whether a frame starts a new run: another rate, a gap or a lasting drift."""
        if frame.sample_rate != self._rate:
            return True
        if frame.time is None:
            return False
        distance = abs(frame.time - self._begin_s - self._taken / self._rate)
        if distance <= DRIFT_S:
            self._drifts_since = None
            return False
        if self._drifts_since is None:
            self._drifts_since = self._taken
        return distance > JUMP_S or self._taken - self._drifts_since > DRIFT_LASTS_S * self._rate

    def add(self, frame: av.AudioFrame) -> None:
        mono = as_mono(frame, self._weights)
        if self._resampler is None:
            self._write(mono)
        else:
            self._feed(mono)
        self._taken += frame.samples

    def flush(self) -> None:
        """Write the resampler's remaining samples."""
        if self._resampler is not None and self._taken:
            for resampled in self._resampler.resample(None):
                self._write(resampled.to_ndarray()[0])

    def _feed(self, mono: NDArray[np.float32]) -> None:
        assert self._resampler is not None
        frame = av.AudioFrame.from_ndarray(mono[None], format="flt", layout="mono")
        frame.sample_rate = self._rate
        frame.pts = self._taken
        for resampled in self._resampler.resample(frame):
            self._write(resampled.to_ndarray()[0])

    def _write(self, mono: NDArray[np.float32]) -> None:
        begin, end = self.cursor, self.cursor + len(mono)
        first, last = max(begin, 0), min(end, len(self._samples))
        if first < last:
            self._samples[first:last] = as_int16(mono[first - begin : last - begin])
        self.cursor = end
