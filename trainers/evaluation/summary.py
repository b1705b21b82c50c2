"""Metrics of all clips for `metrics.json`, and as a table for `dvc plots`."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from trainers.evaluation.clip_scores import GROUPS, VERSIONS, ClipScores
from trainers.evaluation.frechet import frechet

DUBBED = ("own", "foreign")


def summary(clips: Sequence[ClipScores]) -> dict[str, Any]:
    """Return means over clips per version and group, and Fréchet distances of dubs to real clips.

    `listening.spread` holds the standard deviations over the clips.
    """
    found: dict[str, Any] = {
        version: mean_scores([c.scores[version] for c in clips if version in c.scores])
        for version in (*VERSIONS, *GROUPS)
    }
    found["listening"]["spread"] = spreads([c.scores.get("listening", {}) for c in clips])
    for metric in sorted({metric for clip in clips for metric in clip.features}):
        for version in DUBBED:
            both = [c.features[metric] for c in clips if version in c.features[metric]]
            if both:
                real, made = (
                    torch.cat([one[name] for one in both if len(one[name])])
                    if any(len(one[name]) for one in both)
                    else torch.empty(0, 0)
                    for name in ("real", version)
                )
                found[version][metric] = frechet(real, made).content()
    return found


def mean_scores(rows: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean of every metric over the clips that have it, and the number of clips."""
    rows = list(rows)
    names = sorted({name for row in rows for name in row})
    means = {name: _mean([row[name] for row in rows if name in row]) for name in names}
    return {**means, "clips": len(rows)}


def spreads(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the standard deviation of every metric over the clips that have it."""
    names = sorted({name for row in rows for name in row})
    values = {name: [row[name] for row in rows if name in row] for name in names}
    known = {name: [one for one in found if math.isfinite(one)] for name, found in values.items()}
    return {name: statistics.pstdev(found) if found else math.nan for name, found in known.items()}


def table(clips: Sequence[ClipScores]) -> str:
    """Return a CSV with one row per clip, sorted by clip; cells without a value are empty."""
    columns = sorted({(v, name) for clip in clips for v in clip.scores for name in clip.scores[v]})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["clip", "sound_of", "frames", *(f"{v}_{name}" for v, name in columns)])
    for clip in sorted(clips, key=lambda one: one.key):
        values = [clip.scores.get(v, {}).get(name, math.nan) for v, name in columns]
        cells = [f"{value:.6g}" if math.isfinite(value) else "" for value in values]
        writer.writerow([clip.key, clip.foreign_key, clip.frames, *cells])
    return stream.getvalue()


def for_json(content: Any) -> Any:
    """Return the content with null in place of NaN and infinity, which JSON does not have."""
    if isinstance(content, Mapping):
        return {key: for_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [for_json(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
