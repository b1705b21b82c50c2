"""From finished runs to numbers with their spread and verdicts: the content of results.json."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

from benchmarks.claims.claim import METRICS, Claim
from benchmarks.claims.runs import Plan, Run
from benchmarks.claims.verdicts import Compared, verdict_of
from pipeline.atomic import write_json

RESULTS = "results.json"
QUICK_NOTE = "quick: shows that it runs, proves nothing"


def results_of(plan: Plan) -> dict[str, Any]:
    """Return all claims with what their finished runs say."""
    return {
        "note": QUICK_NOTE if plan.quick else "",
        "seeds": plan.seeds,
        "metrics": {
            name: {"title": one.title, "explanation": one.explanation, "digits": one.digits}
            for name, one in METRICS.items()
        },
        "claims": [_claim_results(claim, plan) for claim in plan.claims],
    }


def _claim_results(claim: Claim, plan: Plan) -> dict[str, Any]:
    runs = {key: [run for run in some if run.finished] for key, some in plan.runs_of(claim).items()}
    numbers = {key: _numbers(claim, some) for key, some in runs.items()}
    verdict, parts = verdict_of(claim, numbers)
    return {
        "key": claim.key,
        "title": claim.title,
        "statement": claim.statement,
        "source": claim.source,
        "here": claim.here,
        "verdict": "no verdict" if plan.quick else verdict,
        "metrics": list(claim.metrics),
        "comparisons": [_comparison(part, claim) for part in parts],
        "variants": [
            {
                "key": key,
                "label": variant.label,
                "runs": [run.digest for run in runs[key]],
                "numbers": numbers[key],
                "mean": {name: _mean(values) for name, values in numbers[key].items()},
                "deviation": {name: _deviation(values) for name, values in numbers[key].items()},
                **_size(runs[key]),
            }
            for key, variant in claim.variants.items()
        ],
    }


def _numbers(claim: Claim, runs: list[Run]) -> dict[str, list[float]]:
    metrics = [run.result()["metrics"] for run in runs]
    names = [name for name in claim.metrics if all(name in one for one in metrics)]
    return {name: [one[name] for one in metrics] for name in names}


def _comparison(part: Compared, claim: Claim) -> dict[str, Any]:
    one = part.comparison
    return {
        "metric": one.metric,
        "of": one.of,
        "claimed_higher": claim.variants[one.higher].label,
        "claimed_lower": claim.variants[one.lower].label,
        "difference": _finite(part.difference),
        "standard_error": _finite(part.standard_error),
        "verdict": part.verdict,
    }


def _size(runs: list[Run]) -> dict[str, Any]:
    if not runs:
        return {}
    result = runs[0].result()
    names = ("steps", "parameters", "train_clips", "train_seconds")
    return {name: result[name] for name in names if name in result}


def _mean(values: list[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _deviation(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write the JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, results)


def read_results(path: Path) -> dict[str, Any]:
    """Return what `write_results` wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
