"""What else is measured of the dubs of a clip: pictures, drift, and the reference's mouth in them.

Shape suffixes: T frames, C colours, H and W pixels, X numbers of a picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.faces.backend import FaceBackend
from trainers.evaluation.clip_versions import ClipVersions
from trainers.evaluation.landmark_distance import face_landmarks
from trainers.evaluation.listening import silence_scores
from trainers.evaluation.mouth_shares import mouth_shares
from trainers.evaluation.opening_readers import OpeningReaders
from trainers.evaluation.ridge import correlation

Doubles = NDArray[np.float64]
SHARED_VERSIONS = ("silence", "own")
LEAST_SQUARE = 1 / 12
"""Mean square error of rounding to levels: a perfect frame has 58.9 dB."""


@dataclass(frozen=True, slots=True)
class MouthShares:
    """Shares of frames with an open and with a closed mouth, of a clip that has a silent dub."""

    faces: FaceBackend

    def __call__(self, versions: ClipVersions, readers: OpeningReaders) -> dict[str, float]:
        """Return `silence_open_share` (LipLeak) and so on; NaN where no frame has a face."""
        if "silence" not in versions.frames:
            return {}
        found = dict[str, float]()
        for version in SHARED_VERSIONS:
            landmarks = face_landmarks(self.faces, versions.frames[version])
            shares = mouth_shares(self.faces.landmark_schema, landmarks)
            found |= {f"{version}_{name.removeprefix('mouth_')}": shares[name] for name in shares}
        return found


def silence_numbers(versions: ClipVersions, readers: OpeningReaders) -> dict[str, float]:
    """Return what moves the mouth without any sound, of a clip that has a silent dub."""
    if "silence" not in versions.frames:
        return {}
    found = silence_scores(versions.clip.film, versions.frames["silence"], readers)
    return {"silence_r": found["opening_leak_r"], "silence_amplitude": found["opening_amplitude"]}


def reference_numbers(versions: ClipVersions, readers: OpeningReaders) -> dict[str, float]:
    """Return `reference_r`: with foreign sound, the made opening with that of the reference.

    The references are the clip's own pictures, half of its length later
    (`EvaluationClip.reference`).
    """
    if "foreign" not in versions.frames:
        return {}
    film = versions.clip.film
    shown_T = np.roll(film.opening, -(len(film) // 2))
    made_T = readers.mouth.opening(versions.frames["foreign"])
    return {"reference_r": correlation(made_T, shown_T)}


def picture_numbers(versions: ClipVersions, readers: OpeningReaders) -> dict[str, float]:
    """Return `lower_psnr_db`: mean over frames, of the lower half made with its own sound."""
    real_TX, made_TX = _lower_halves(versions)
    return {"lower_psnr_db": float(_psnr(real_TX, made_TX).mean())}


def drift_numbers(versions: ClipVersions, readers: OpeningReaders) -> dict[str, float]:
    """Return whether the lower halves of a dub with its own sound become worse or stand still.

    Returns:
        `first_quarter_db`, `last_quarter_db` and their difference `drift_db`, positive if the end
        is worse; `contrast`, deviation of the levels of the last quarter, made over real, 0 if it
        is grey; `from_first`, where the pictures lie between the clip's first one, 0, and the
        truth, 1.
    """
    real_TX, made_TX = _lower_halves(versions)
    psnr_T, quarter = _psnr(real_TX, made_TX), max(1, len(real_TX) // 4)
    first, last = float(psnr_T[:quarter].mean()), float(psnr_T[-quarter:].mean())
    deviations = [float(one[-quarter:].std(axis=1).mean()) for one in (made_TX, real_TX)]
    return {
        "first_quarter_db": first,
        "last_quarter_db": last,
        "drift_db": first - last,
        "contrast": deviations[0] / deviations[1] if deviations[1] else float("nan"),
        "from_first": share_of_way(made_TX[1:], real_TX[:1], real_TX[1:]),
    }


def share_of_way(made_TX: Doubles, start_TX: Doubles, end_TX: Doubles) -> float:
    """Return where pictures lie between two others: 0 at the start, 1 at the end.

    The projection on the way from start to end, all pictures together, so that one that hardly
    differs from the start does not weigh more than others. NaN if start and end are equal.
    """
    way_TX = end_TX - start_TX
    length = float((way_TX**2).sum())
    return float(((made_TX - start_TX) * way_TX).sum()) / length if length else float("nan")


def _lower_halves(versions: ClipVersions) -> tuple[Doubles, Doubles]:
    """Return the levels (T, X) of the lower halves: real, and made with their own sound."""
    real, made = (_lower(versions.frames[name]) for name in ("real", "own"))
    return real, made


def _lower(frames_TCHW: NDArray[np.uint8]) -> Doubles:
    lower: NDArray[Any] = frames_TCHW[:, :, frames_TCHW.shape[2] // 2 :]
    return np.asarray(lower.reshape(len(lower), -1), np.float64)


def _psnr(real_TX: Doubles, made_TX: Doubles) -> Doubles:
    squares_T = np.maximum(((real_TX - made_TX) ** 2).mean(axis=1), LEAST_SQUARE)
    return np.asarray(10 * np.log10(255**2 / squares_T))
