"""The page: every claim with its verdict, numbers, curves and pictures, in one file."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmarks.claims.charts import Curves, Dots, colour, curves, dots
from benchmarks.claims.claim import METRICS, Claim
from benchmarks.claims.runs import Plan, Run
from benchmarks.claims.verdicts import MIN_SEEDS, STANDARD_ERRORS
from pipeline.atomic import write_text
from pipeline.html.drawing import HEIGHT, WIDTH
from pipeline.html.templates import html_environment

CURVES: Mapping[str, tuple[tuple[str, str, float | None], ...]] = {
    "syncnet": (("validation/loss", "Validation loss over steps", 0.693),),
    "diffusion": (("validation/clean", "Validation error over steps", None),),
    "avsyncnet": (("validation/loss", "Validation loss over steps", 0.693),),
    "stabilized": (
        ("validation/mouth_psnr_db", "PSNR of the lower half over steps, dB", None),
        ("validation/sync", "AVSyncNet's cosine of made faces over steps", None),
    ),
    "syncdiff": (("validation/clean", "Validation error over steps", None),),
}
"""By system: column, title and reference line."""
STRIP = "strip.png"


def write_page(path: Path, results: Mapping[str, Any], plan: Plan) -> None:
    """Write the page; pictures and style are inside."""
    environment = html_environment("benchmarks.claims")
    environment.filters["shown"] = shown
    environment.filters["colour"] = colour
    sections = [
        {**one, **_drawn(claim, one, plan)}
        for claim, one in zip(plan.claims, results["claims"], strict=True)
    ]
    text = environment.get_template("page.html.j2").render(
        results=results,
        sections=sections,
        drawing={"width": WIDTH, "height": HEIGHT},
        rule={"seeds": MIN_SEEDS, "errors": STANDARD_ERRORS},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def shown(value: float | None, metric: str) -> str:
    """Return a number with its metric's digits; a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    digits = METRICS[metric].digits if metric in METRICS else 3
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _drawn(claim: Claim, section: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    runs = {
        claim.variants[key].label: [run for run in some if run.finished]
        for key, some in plan.runs_of(claim).items()
    }
    system = next(iter(claim.variants.values())).system
    drawn: list[Curves | None] = [
        curves(
            title,
            {name: [_points(run, column) for run in some] for name, some in runs.items()},
            line,
        )
        for column, title, line in CURVES[system]
    ]
    numbers = {one["label"]: one["numbers"] for one in section["variants"]}
    deciding = dict.fromkeys(one.metric for one in claim.comparisons)
    spread: list[Dots | None] = [
        dots(METRICS[metric].title, {name: one.get(metric, ()) for name, one in numbers.items()})
        for metric in deciding
    ]
    return {
        "curves": [one for one in drawn if one],
        "dots": [one for one in spread if one],
        "strips": [
            {"label": name, "source": source}
            for name, some in runs.items()
            for source in [_strip(some)]
            if source
        ],
    }


def _points(run: Run, column: str) -> list[tuple[float, float]]:
    return [(row["step"], row[column]) for row in run.result()["curve"] if column in row]


def _strip(runs: list[Run]) -> Markup | None:
    """Return the pictures of the first seed as a data URL."""
    if not runs or not (runs[0].folder / STRIP).exists():
        return None
    stored = base64.b64encode((runs[0].folder / STRIP).read_bytes()).decode()
    return Markup("data:image/png;base64,") + stored
