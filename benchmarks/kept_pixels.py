"""What the kept pixels of aligned faces tell about the mouth: ridge regression to its opening.

python -m benchmarks.kept_pixels data/shards

A lip-sync model is given the pixels outside of its mask's hole. If the opening of the mouth can be
read off them, the model need not listen. Trained on the split `train`, tested on `val` and `test`;
luma at 64 x 64, means taken off per clip, the penalty chosen by films inside of `train`.

Shape suffixes: T frames, L landmarks, H height, W width, N frames of all clips, P pixels.
"""

import argparse
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.faces.schemas import MESH468
from trainers.talking_face.masks import keep_mask

Floats = NDArray[np.float64]
SIZE_PX, UNIT = 64, 256
FOLDS = 4
PENALTIES = tuple(10.0**power for power in range(1, 8))


@dataclass(frozen=True, slots=True)
class ShownClip:
    """One sample of a shard."""

    split: str
    film: str
    luma: Floats
    """(T, H, W)"""
    opening: Floats
    """(T,): distance of the inner lips over that of the outer corners of the eyes."""
    matrices: Floats
    """(T, 6): frame to crop."""


def clips_of(shards: Path) -> Iterator[ShownClip]:
    """Read every sample below a folder of `train`, `val` and `test`."""
    for path in sorted(shards.glob("*/*.tar")):
        members: dict[str, dict[str, bytes]] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, kind = member.name.split(".", 1)
                stored = tar.extractfile(member)
                assert stored is not None, member.name
                members.setdefault(key, {})[kind] = stored.read()
        yield from (_clip(path.parent.name, one) for one in members.values())


def _clip(split: str, members: dict[str, bytes]) -> ShownClip:
    film = json.loads(members["json"])["video"]["uri"]
    with np.load(io.BytesIO(members["npz"])) as stored:
        points, matrices = stored["landmarks"][..., :2].astype(np.float64), stored["matrices"]
    with av.open(io.BytesIO(members["mp4"])) as container:
        luma = np.stack(
            [_luma(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
        )
    upper, lower = MESH468.lip_pairs[0]
    left, right = MESH468.outer_eye_corners
    opening = _distance(points, upper, lower) / _distance(points, left, right)
    return ShownClip(split, film, luma, opening, matrices.reshape(len(matrices), 6))


def _distance(points_TLC: Floats, one: int, two: int) -> Floats:
    return np.asarray(np.linalg.norm(points_TLC[:, one] - points_TLC[:, two], axis=1))


def _luma(picture: Any) -> Floats:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.resize(grey, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA), np.float64
    )


def regions() -> dict[str, NDArray[np.bool_]]:
    """Return the parts of the picture that are looked at, (H, W) each."""
    kept = keep_mask(SIZE_PX)[0, 0].numpy() > 0.5
    row, column = (np.mgrid[:SIZE_PX, :SIZE_PX] + 0.5) * (UNIT / SIZE_PX)
    nose = (row >= 95) & (row < 128) & (column >= 78) & (column < 178)
    return {
        "all kept pixels": kept,
        "eyes, brows (rows under 95)": kept & (row < 95),
        "nose": kept & nose,
        "sides (rows 95 to 200)": kept & (row >= 95) & (row < 200) & ~nose,
        "below (rows from 200)": kept & (row >= 200),
        "the hole": ~kept,
    }


def read(clips: Sequence[ShownClip], seen: Callable[[ShownClip], Floats]) -> float:
    """Return the correlation of what is read off `seen` (T, P) with the opening, held out."""
    train = [one for one in clips if one.split == "train"]
    tested = [one for one in clips if one.split != "train"]
    x_NP, y_N = _joined(train, seen)
    scale = float(x_NP.std()) + 1e-9
    films = sorted({one.film for one in train})
    fold = np.concatenate([[films.index(c.film) % FOLDS] * len(c.opening) for c in train])
    weights = _fitted(x_NP / scale, y_N, [_best_penalty(x_NP / scale, y_N, fold)])[0]
    seen_NP, true_N = _joined(tested, seen)
    return float(np.corrcoef(seen_NP / scale @ weights, true_N)[0, 1])


def _joined(
    clips: Sequence[ShownClip], seen: Callable[[ShownClip], Floats]
) -> tuple[Floats, Floats]:
    values = [seen(one) for one in clips]
    openings = [one.opening - one.opening.mean() for one in clips]
    return np.concatenate([one - one.mean(axis=0) for one in values]), np.concatenate(openings)


def _best_penalty(x_NP: Floats, y_N: Floats, fold: NDArray[Any]) -> float:
    error = np.zeros(len(PENALTIES))
    for number in range(FOLDS):
        here = fold == number
        for index, weights in enumerate(_fitted(x_NP[~here], y_N[~here], PENALTIES)):
            error[index] += float(((x_NP[here] @ weights - y_N[here]) ** 2).sum())
    return PENALTIES[int(error.argmin())]


def _fitted(x_NP: Floats, y_N: Floats, penalties: Sequence[float]) -> list[Floats]:
    values, vectors = np.linalg.eigh(x_NP.T @ x_NP)
    turned = vectors.T @ (x_NP.T @ y_N)
    return [np.asarray(vectors @ (turned / (values + penalty))) for penalty in penalties]


def main() -> None:
    """Print one line per region, and what the crop's matrices tell."""
    parser = argparse.ArgumentParser(description="what the kept pixels tell about the mouth")
    parser.add_argument("shards", type=Path)
    clips = list(clips_of(parser.parse_args().shards))
    for name, region in regions().items():
        print(f"{name:30s} r {read(clips, lambda one, region=region: one.luma[:, region]):+.2f}")
    print(f"{'matrices of the crop':30s} r {read(clips, lambda one: one.matrices):+.2f}")


if __name__ == "__main__":
    main()
