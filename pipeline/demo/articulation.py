"""Lip shapes over time from timed phonemes, smoothed.

Every phoneme pulls the lips towards its target; neighbours blend with Gaussian weights in time
(the idea of dominance functions, Cohen & Massaro 1993). What must touch does touch: the closure of
p, b, m and the lower lip of f, v are laid over the blend, so that no neighbour can open them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pipeline.demo.speech import Phoneme

TRACK_HZ = 200
"""Sampling rate of the tracks."""
BLEND_SIGMA_S = 0.036
LEAD_S = 0.015
"""The lips reach a phoneme's shape this long before its onset."""
CLOSING_S = 0.055
"""Lips touch this long before the burst of p, b and the onset of m."""


class Lips(NamedTuple):
    """Target of one sound. All without unit, about 0 to 1."""

    gap: float
    """Opening between the inner lips; 1 is an open /a/."""
    width: float
    """Distance of the corners: 0 at rest, 1 spread, -1 rounded."""
    pull: float = 1.0
    """How strongly the sound insists on its shape."""


_TARGETS: dict[str, Lips] = {
    **dict.fromkeys("aɑæɐ", Lips(1.0, 0.1, 1.3)),  # noqa: RUF001 - IPA
    **dict.fromkeys("ʌɒ", Lips(0.8, 0.0, 1.2)),
    **dict.fromkeys("ɛeE", Lips(0.65, 0.45)),
    **dict.fromkeys("iɪ", Lips(0.36, 0.8)),  # noqa: RUF001 - IPA
    **dict.fromkeys("əɜɚɝɘ", Lips(0.45, 0.0, 0.7)),
    **dict.fromkeys("ɔœ", Lips(0.7, -0.55, 1.2)),
    **dict.fromkeys("oø", Lips(0.5, -0.8, 1.2)),
    **dict.fromkeys("uʊyʏ", Lips(0.26, -1.0, 1.2)),  # noqa: RUF001 - IPA
    **dict.fromkeys("wɥ", Lips(0.14, -1.0, 1.4)),
    **dict.fromkeys("pbm", Lips(0.1, 0.0, 0.8)),
    **dict.fromkeys("fv", Lips(0.12, 0.1, 1.1)),
    **dict.fromkeys("βʋɱ", Lips(0.12, 0.0, 1.0)),
    **dict.fromkeys("θð", Lips(0.25, 0.15, 0.8)),
    **dict.fromkeys("szʦʣ", Lips(0.16, 0.4, 1.1)),
    **dict.fromkeys("tdnlɾɫ", Lips(0.24, 0.2, 0.6)),
    **dict.fromkeys("ʃʒɕʑʧʤ", Lips(0.3, -0.6, 1.1)),
    **dict.fromkeys("ɹrʁʀɻ", Lips(0.28, -0.35, 0.7)),
    **dict.fromkeys("jɲʎç", Lips(0.25, 0.5, 0.8)),
    **dict.fromkeys("kɡgŋxɣhqχɦʔ", Lips(0.34, 0.0, 0.4)),  # noqa: RUF001 - IPA
}
_SILENCE = Lips(0.0, 0.0, 0.8)
_UNKNOWN = Lips(0.35, 0.0, 0.4)
_MARKS = frozenset("ˈˌː̩̃ʲʰ-;.0123456789 \u0303\u0329\u032f")
_CLOSED, _TUCKED = frozenset("pbm"), frozenset("fv")


@dataclass(frozen=True, slots=True)
class Articulation:
    """Lip shape over time, sampled at TRACK_HZ from time 0."""

    gap: NDArray[np.float64]
    width: NDArray[np.float64]
    press: NDArray[np.float64]
    """Lips pressed on each other, 0 to 1: the closures of p, b, m."""
    tuck: NDArray[np.float64]
    """Lower lip against the upper teeth, 0 to 1: f, v."""

    def scaled(self, share: float) -> "Articulation":
        """Return the same movements, smaller."""
        tracks = (self.gap, self.width, self.press, self.tuck)
        return Articulation(*(share * track for track in tracks))

    def at(self, time_s: float) -> NDArray[np.float64]:
        """Return (gap, width, press, tuck) at a time; the ends hold."""
        position = np.clip(time_s * TRACK_HZ, 0, len(self.gap) - 1)
        low = int(position)
        high = min(low + 1, len(self.gap) - 1)
        share = position - low
        tracks = (self.gap, self.width, self.press, self.tuck)
        return np.array([t[low] * (1 - share) + t[high] * share for t in tracks])


class _Part(NamedTuple):
    start_s: float
    end_s: float
    sound: str
    lips: Lips


def still(duration_s: float) -> Articulation:
    """Return a mouth that stays closed."""
    rest = np.zeros(max(1, round(duration_s * TRACK_HZ)))
    return Articulation(rest, rest, rest, rest)


def articulate(
    phonemes: Sequence[Phoneme], duration_s: float, start_s: float = 0.0, lead_s: float = LEAD_S
) -> Articulation:
    """Move the lips to phonemes whose times count from `start_s`.

    Args:
        duration_s: length of the tracks.
        start_s: when the sound begins on the picture's clock.
        lead_s: how far the mouth is ahead of the sound.
    """
    count = max(1, round(duration_s * TRACK_HZ))
    parts = _parts(phonemes, start_s - lead_s)
    gap, width = _blend(parts, count)
    press = _touch([_closure(part) for part in parts if part.sound in _CLOSED], count)
    tuck = _touch([(p.start_s - 0.02, p.end_s - 0.01) for p in parts if p.sound in _TUCKED], count)
    open_share = (1.0 - press) * (1.0 - 0.8 * tuck)
    return Articulation(gap * open_share, width, press, tuck)


def _parts(phonemes: Sequence[Phoneme], start_s: float) -> list[_Part]:
    """Split diphthongs and affricates into their sounds."""
    ends = [p.time_s for p in phonemes[1:]] + [phonemes[-1].time_s if phonemes else 0.0]
    parts = []
    for phoneme, end_s in zip(phonemes, ends, strict=True):
        sounds = [s for s in phoneme.ipa if s not in _MARKS] or [""]
        edges = np.linspace(phoneme.time_s, max(end_s, phoneme.time_s), len(sounds) + 1) + start_s
        stress = 1.12 if "ˈ" in phoneme.ipa else 0.9  # noqa: RUF001 - IPA
        for sound, begin, end in zip(sounds, edges, edges[1:], strict=False):
            parts.append(_Part(float(begin), float(end), sound, _lips(sound, stress)))
    return parts


def _lips(sound: str, stress: float) -> Lips:
    if not sound:
        return _SILENCE
    lips = _TARGETS.get(sound, _UNKNOWN)
    return lips._replace(gap=lips.gap * stress)


def _blend(parts: Sequence[_Part], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gap and width: every target weighted by its pull and its nearness in time."""
    pull = np.full(count, _SILENCE.pull)
    gap, width = np.zeros(count), np.zeros(count)
    for part in parts:
        span = slice(*np.clip(np.round(np.array(part[:2]) * TRACK_HZ).astype(int), 0, count))
        pull[span], gap[span], width[span] = part.lips.pull, part.lips.gap, part.lips.width
    sigma = BLEND_SIGMA_S * TRACK_HZ
    weight = gaussian_filter1d(pull, sigma, mode="nearest")
    blended_gap = gaussian_filter1d(gap * pull, sigma, mode="nearest") / weight
    wide = gaussian_filter1d(pull, 1.4 * sigma, mode="nearest")
    return blended_gap, gaussian_filter1d(width * pull, 1.4 * sigma, mode="nearest") / wide


def _closure(part: _Part) -> tuple[float, float]:
    """Return when the lips touch: before the burst of p and b, all through m."""
    held = {"p": 0.0, "b": min(0.03, part.end_s - part.start_s)}
    end_s = part.start_s + held.get(part.sound, part.end_s - part.start_s - 0.01)
    return part.start_s - CLOSING_S, max(end_s, part.start_s)


def _touch(spans: Sequence[tuple[float, float]], count: int) -> NDArray[np.float64]:
    """Return 1 inside the spans with edges of about 40 ms."""
    time_s = np.arange(count) / TRACK_HZ
    touching = np.zeros(count)
    for start_s, end_s in spans:
        outside = np.maximum(np.maximum(start_s - time_s, time_s - end_s), 0.0)
        touching = np.maximum(touching, np.exp(-((outside / 0.028) ** 2)))
    return touching
