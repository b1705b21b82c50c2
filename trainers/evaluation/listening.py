"""Whether the mouth follows the sound: correlations of the mouth's opening, per clip.

Every dub is made with reference pictures from another moment of the clip, and every opening of a
made mouth is read from pixels that the model made (opening_readers.py). Truths are the stored
landmarks of the real films.

A model that copies the mouth of the picture has a high `leak_r`; one that moves the mouth by
anything but the sound has `own_r` and `foreign_r` near 0, or near `chance_r`: that of two unrelated
films.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trainers.evaluation.evaluation_clips import EvaluationClip
from trainers.evaluation.opening_readers import OpeningReaders
from trainers.evaluation.ridge import Doubles, correlation
from trainers.evaluation.speaking_films import SpeakingFilm

Pixels = NDArray[np.uint8]


def listening_scores(
    clip: EvaluationClip, frames: Mapping[str, Pixels], readers: OpeningReaders
) -> dict[str, float]:
    """Return what the mouths of a clip's dubs follow.

    Args:
        clip: the films.
        frames: `own` and, if there is a foreign film, `foreign`: the dubs, (T, 3, H, W) each.
        readers: of the train split.

    Returns:
        `own_r`: made with its own sound, with the true opening. `own_amplitude`: standard deviation
        over that of the real film. With foreign sound: `foreign_r` with the film of that sound,
        `leak_r` with the picture's own mouth, `amplitude` over the film of that sound, `chance_r`
        of the two films' true openings.
    """
    own_T, film = readers.mouth.opening(frames["own"]), clip.film
    found = {
        "own_r": correlation(own_T, film.opening),
        "own_amplitude": _amplitude(own_T, film, readers),
    }
    if clip.foreign is not None:
        made_T = readers.mouth.opening(frames["foreign"])
        found |= {
            "foreign_r": correlation(made_T, clip.foreign.opening),
            "leak_r": correlation(made_T, film.opening),
            "amplitude": _amplitude(made_T, clip.foreign, readers),
            "chance_r": correlation(clip.foreign.opening, film.opening),
        }
    return found


def ceiling_scores(
    film: SpeakingFilm, decoded_TCHW: Pixels | None, readers: OpeningReaders
) -> dict[str, float]:
    """Return what could be reached on a film, and what leaks into it; no model dubs here.

    Args:
        film: a held-out film.
        decoded_TCHW: its frames behind the model's autoencoder; None if it has none.
        readers: of the train split.

    Returns:
        `reader_r` of the real frames, `vae_r` of the decoded ones if there are any; `regression_r`,
        the opening from the sound alone (kernel ridge) and `ridge_r`; `kept_pixels_r` from the
        pixels outside of the mask's hole; `geometry_r`, `geometry_r2` from crop matrix and eye
        positions.
    """
    truth_T = film.opening
    ridge_T, kernel_T = readers.sound.openings(film.audio)
    geometry_T = readers.geometry.opening(film.geometry)
    decoded = {} if decoded_TCHW is None else {"vae_r": readers.mouth.opening(decoded_TCHW)}
    return {
        "reader_r": correlation(readers.mouth.opening(film.frames), truth_T),
        **{name: correlation(opening_T, truth_T) for name, opening_T in decoded.items()},
        "regression_r": correlation(kernel_T, truth_T),
        "ridge_r": correlation(ridge_T, truth_T),
        "kept_pixels_r": correlation(readers.kept.opening(film.frames), truth_T),
        "geometry_r": correlation(geometry_T, truth_T),
        "geometry_r2": _explained(geometry_T, truth_T),
    }


def silence_scores(
    film: SpeakingFilm, made_TCHW: Pixels, readers: OpeningReaders
) -> dict[str, float]:
    """Return what moves the mouth of a dub with silence: nothing should.

    Returns:
        `opening_leak_r`, of its opening with the picture's own mouth, and `opening_amplitude`, its
        standard deviation over that of the real film.
    """
    made_T = readers.mouth.opening(made_TCHW)
    return {
        "opening_leak_r": correlation(made_T, film.opening),
        "opening_amplitude": _amplitude(made_T, film, readers),
    }


def opening_curves(
    clip: EvaluationClip, frames: Mapping[str, Pixels], readers: OpeningReaders
) -> dict[str, Doubles]:
    """Return the openings (T,) of a clip, each relative to its mean: true and made, by sound."""
    curves = {
        "own_true": clip.film.opening - clip.film.opening.mean(),
        "own_made": readers.mouth.opening(frames["own"]),
    }
    if clip.foreign is not None:
        curves["foreign_true"] = clip.foreign.opening - clip.foreign.opening.mean()
        curves["foreign_made"] = readers.mouth.opening(frames["foreign"])
    return curves


def _amplitude(made_T: Doubles, film: SpeakingFilm, readers: OpeningReaders) -> float:
    real = float(readers.mouth.opening(film.frames).std())
    return float(made_T.std()) / real if real > 0 else float("nan")


def _explained(predicted_T: Doubles, truth_T: Doubles) -> float:
    """Return the coefficient of determination, of values relative to their means; NaN if still."""
    centred_T = truth_T - truth_T.mean()
    total = float((centred_T**2).sum())
    rest = float(((centred_T - predicted_T) ** 2).sum())
    return 1 - rest / total if total > 0 else float("nan")
