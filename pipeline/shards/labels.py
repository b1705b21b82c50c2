"""Labels of every frame of a sample, in its npz: by these a trainer skips seconds, not clips.

Shape suffixes: T frames of the clip, S frames of the sample at 25 fps.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.shards.correction import CommonInterval
from pipeline.tables.rows import Quality

Label = NDArray[np.float32]
Doubles = NDArray[np.float64]
LABELS: Mapping[str, str] = {
    "sync": "probability, by the landmark judge and the second around the frame alone, that sound "
    "and lips are together; even odds before that second was looked at",
    "speech": "share of the frame's 40 ms that is speech (Silero VAD), 0 to 1",
    "cover": "certainty that the mouth is not visible, 0 to 1",
    "change": "difference from the picture before, levels of luma (0 to 255); about 0: it stands",
}
"""Array -> what it says. Each is (S,) float32, one value per frame."""
SHARES = ("sync", "speech", "cover")
"""Those from 0 to 1."""
DECIMALS = 3


@dataclass(frozen=True, slots=True, eq=False)
class ClipSeries:
    """What `quality` measured of every frame of a clip and a sample keeps: (T,) each."""

    speech: Label
    cover: Label
    change: Label

    @classmethod
    def of(cls, quality: Quality) -> "ClipSeries":
        """Take the series of a row."""
        series = quality.speech_by_frame, quality.cover_by_frame, quality.change_by_frame
        return cls(*(np.asarray(one, np.float32) for one in series))

    def sha256(self) -> str:
        """Return a digest of all values."""
        found = hashlib.sha256()
        for one in (self.speech, self.cover, self.change):
            found.update(np.ascontiguousarray(one, "<f4").tobytes() + b"|")
        return found.hexdigest()


def labels_of(
    series: ClipSeries, interval: CommonInterval, sync_S: Doubles | None
) -> dict[str, Label]:
    """Return the labels of a sample, named as in LABELS.

    Args:
        interval: the frames of the clip that are the sample. Speech moves with the sound.
        sync_S: of `pipeline.judge.seconds`; None where it cannot be judged: `sync` is NaN then.
    """
    frames = slice(interval.first_frame, interval.first_frame + interval.num_frames)
    unknown_S = np.full(interval.num_frames, np.nan)
    made = {
        "sync": unknown_S if sync_S is None else sync_S,
        "speech": _heard(series.speech, interval),
        "cover": series.cover[frames],
        "change": series.change[frames],
    }
    assert made.keys() == LABELS.keys(), "every label is made"
    assert all(len(one) == interval.num_frames for one in made.values()), "a value per frame"
    return {name: np.round(one, DECIMALS).astype(np.float32) for name, one in made.items()}


def _heard(speech: Label, interval: CommonInterval) -> Doubles:
    """Return (S,) speech where the sample has it: sound beyond the clip's ends is silence."""
    until = np.concatenate([[0.0], np.cumsum(speech, dtype=np.float64)])
    heard_until = np.interp(interval.sound_edges(), np.arange(len(until)), until)
    return np.asarray(np.clip(np.diff(heard_until), 0.0, 1.0))
