"""The sound of a film where something is wrong with it: another voice, a piece that is lost."""

import numpy as np

from pipeline.demo.film_writer import Sound
from pipeline.demo.scenario import Fault
from pipeline.tables.rows import FPS


def joined(own: Sound, other: Sound, fault: Fault) -> Sound:
    """Return one's own sound with another's in the stretch of the fault."""
    assert own.rate_hz == other.rate_hz, "both come from one synthesizer"
    foreign = slice(*(None if f is None else _sample(f, own) for f in (fault.start, fault.end)))
    samples = own.samples.copy()
    samples[foreign] = other.samples[foreign]
    return Sound(samples, own.rate_hz)


def shortened(own: Sound, fault: Fault, offset_frames: int) -> Sound:
    """Cut out the sound of the fault's frames; silence makes up for it at the end.

    Args:
        offset_frames: of the film before the cut; the sound of a frame lies so much before it.
    """
    assert fault.end is not None, "a loss at the end is no step"
    first, end = (_sample(frame - offset_frames, own) for frame in (fault.start, fault.end))
    silence = np.zeros(end - first, np.float32)
    return Sound(np.concatenate([own.samples[:first], own.samples[end:], silence]), own.rate_hz)


def _sample(frame: int, sound: Sound) -> int:
    return round(frame / FPS * sound.rate_hz)
