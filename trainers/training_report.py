"""The DVC stage `training_report`: pre-flight, curves, metrics and samples on one page.

models/ + reports/ -> reports/training.html: one file that needs neither network nor script. What
is not there is said to be missing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import write_text
from pipeline.engine.command import run_main
from pipeline.errors import ManifestError
from pipeline.html import words
from pipeline.html.drawing import HEIGHT, WIDTH
from pipeline.html.templates import html_environment
from pipeline.html.words import number
from pipeline.params.curation import Params, load_params
from pipeline.tables.printable import visible
from trainers.page.charts import (
    Chart,
    Rows,
    learning_chart,
    read_table,
    syncnet_charts,
    term_charts,
)
from trainers.page.embedded_samples import EmbeddedSamples, read_samples
from trainers.page.listening_section import (
    ListeningSection,
    listening_section,
    without_listening,
)
from trainers.page.offset_histograms import offset_histograms
from trainers.page.report_tables import (
    ReportTable,
    flat_rows,
    metric_tables,
    profile_settings,
    stand_ins,
)
from trainers.page.systems_section import TrainedSystem, systems_section, without_systems
from trainers.talking_face.model_folders import OPTIONAL_STAGES

PAGE = "training.html"
PREFLIGHTS = {"train_syncnet": "StableSyncNet", "train_ldm": "the diffusion model"}
"""Stages that look before they train, and what they train."""


@dataclass(frozen=True, slots=True)
class TrainingReportInputs:
    """All that the page is made from; None is missing."""

    params: Params
    preflights: Mapping[str, Mapping[str, Any] | None]
    """By stage."""
    syncnet_curve: Rows | None
    ldm_curve: Rows | None
    syncnet_outcome: Mapping[str, Any] | None
    ldm_outcome: Mapping[str, Any] | None
    model: Mapping[str, Any] | None
    metrics: Mapping[str, Any] | None
    openings: Mapping[str, Any] | None
    samples: EmbeddedSamples | None
    systems: Sequence[TrainedSystem] = ()
    """Of the optional stages."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A number at the head of the page."""

    id: str
    name: str
    value: str
    note: str


def build_training_report(root: Path, params: Params) -> Path:
    """Write `reports/training.html` below `root` and return its path. Same files: same bytes.

    Raises:
        ManifestError: a file is not what its stage writes.
        StorageError: the page cannot be written.
    """
    models, reports = root / "models", root / "reports"
    inputs = TrainingReportInputs(
        params=params,
        preflights={one: _read(models / one / "preflight.json") for one in PREFLIGHTS},
        syncnet_curve=_rows(reports / "train_syncnet_curve.csv"),
        ldm_curve=_rows(reports / "train_ldm_curve.csv"),
        syncnet_outcome=_read(reports / "train_syncnet.json"),
        ldm_outcome=_read(reports / "train_ldm.json"),
        model=_read(models / "train_ldm" / "model.json"),
        metrics=_read(reports / "metrics.json"),
        openings=_read(reports / "samples" / "openings.json"),
        samples=read_samples(reports / "samples"),
        systems=[_system(name, reports) for name in OPTIONAL_STAGES],
    )
    write_text(reports / PAGE, render(inputs))
    return reports / PAGE


def _system(name: str, reports: Path) -> TrainedSystem:
    """Return what an optional stage and its evaluation have left."""
    samples = reports / "samples" / name
    return TrainedSystem(
        name=name,
        curve=_rows(reports / f"{name}_curve.csv"),
        outcome=_outcome(_read(reports / f"{name}.json")),
        openings=_read(samples / "openings.json"),
        samples=read_samples(samples, f"samples/{name}"),
    )


def render(inputs: TrainingReportInputs) -> str:
    """Return the page: one HTML document without script or network."""
    environment = html_environment("trainers.page")
    environment.filters |= {"visible": visible, "count": words.count}
    return environment.get_template("training.html.j2").render(_context(inputs))


def _context(inputs: TrainingReportInputs) -> dict[str, Any]:
    listening = listening_section(inputs.metrics, inputs.openings)
    systems = systems_section(inputs.metrics, inputs.systems)
    return {
        "lead": _lead(inputs),
        "tiles": [*_tiles(inputs), _listening_tile(listening)],
        "stand_ins": _stand_ins(inputs),
        "preflights": [_preflight(stage, inputs.preflights[stage]) for stage in PREFLIGHTS],
        "trained": _trained(inputs),
        "listening": listening,
        "systems": systems,
        "not_evaluated": _not_evaluated(inputs.metrics),
        "metrics_tables": metric_tables(without_systems(without_listening(inputs.metrics or {}))),
        "samples": inputs.samples,
        "parts": _parts(inputs.model),
        "sections": _sections(inputs),
        "drawing": {"width": WIDTH, "height": HEIGHT},
    }


def _not_evaluated(metrics: Mapping[str, Any] | None) -> list[str]:
    """Return the optional stages whose model was not measured; none if nothing was."""
    measured = (metrics or {}).get("systems") or {}
    return [name for name in OPTIONAL_STAGES if metrics and name not in measured]


def _lead(inputs: TrainingReportInputs) -> str:
    params = inputs.params
    return (
        f"StableSyncNet by the profile {params.train_syncnet.profile}, the diffusion model by the "
        f"profile {params.train_ldm.profile}."
    )


def _tiles(inputs: TrainingReportInputs) -> list[Tile]:
    syncnet, ldm = inputs.syncnet_curve or (), inputs.ldm_curve or ()
    loss, predicted = _last(syncnet, "validation/loss"), _prediction_error(ldm)
    return [
        Tile("preflight", "Pre-flight", *_verdict(inputs)),
        Tile(
            "accuracy",
            "Sync accuracy",
            _last(syncnet, "validation/accuracy"),
            "last validation; chance: 0.5",
        ),
        Tile("loss", "Sync loss", loss, "last validation; 0.693 knows nothing"),
        Tile("prediction", "Prediction error", _last(ldm, predicted), _first(ldm, predicted)),
    ]


def _listening_tile(section: ListeningSection | None) -> Tile:
    if section is None:
        return Tile("listening", "Listening", "missing", "not evaluated")
    return Tile("listening", "Listening", section.foreign, section.note)


def _verdict(inputs: TrainingReportInputs) -> tuple[str, str]:
    """Return the severest verdict of the stages' pre-flights, and the number of warnings."""
    found = [one for one in inputs.preflights.values() if one is not None]
    warnings = sum(check["verdict"] == "warning" for one in found for check in one["checks"])
    verdicts = {str(one["verdict"]) for one in found}
    worst = next((one for one in ("stop", "warning", "ok") if one in verdicts), "missing")
    return worst, f"{warnings} warnings"


def _prediction_error(rows: Rows) -> str:
    """Return the name of the error of what the diffusion model predicts."""
    clean = any(row.get("validation/clean") is not None for row in rows)
    return "validation/clean" if clean else "validation/noise"


def _first(rows: Rows, name: str) -> str:
    known = [value for row in rows if (value := row.get(name)) is not None]
    return (
        f"at the start {number(known[0])}" if known and known[0] is not None else "not trained yet"
    )


def _last(rows: Rows, name: str) -> str:
    known = [value for row in rows if (value := row.get(name)) is not None]
    return number(known[-1]) if known else "missing"


def _stand_ins(inputs: TrainingReportInputs) -> list[tuple[str, str]]:
    """Return where stand-ins are named: (file and key, name)."""
    found: dict[tuple[str, str], None] = {}
    for file, content in (("model.json", inputs.model), ("metrics.json", inputs.metrics)):
        for where, name in stand_ins(content or {}):
            if "profile" not in where and "stand_ins" not in where:
                found[f"{file}: {where}", name] = None
    return list(found)


def _preflight(stage: str, content: Mapping[str, Any] | None) -> dict[str, Any]:
    head = {"stage": stage, "trained": PREFLIGHTS[stage]}
    if content is None:
        return {**head, "checks": None}
    findings = content["findings"]
    overfitted = findings.get("overfit") or {"losses": []}
    own = stage == "train_syncnet"  # the same clips; and 0.693 is that of its loss
    return {
        **head,
        "checks": content["checks"],
        "histograms": offset_histograms(findings["train"]) if own else [],
        "learning": learning_chart(overfitted["losses"]) if own else None,
    }


def _trained(inputs: TrainingReportInputs) -> list[dict[str, Any]]:
    return [
        {
            "id": "syncnet",
            "title": "StableSyncNet",
            "stage": "train_syncnet",
            "path": "reports/train_syncnet_curve.csv",
            "outcome": _outcome(inputs.syncnet_outcome),
            "charts": _charts(inputs.syncnet_curve, syncnet_charts),
        },
        {
            "id": "ldm",
            "title": "Diffusion model",
            "stage": "train_ldm",
            "path": "reports/train_ldm_curve.csv",
            "outcome": _outcome(inputs.ldm_outcome),
            "charts": _charts(inputs.ldm_curve, term_charts),
        },
    ]


def _charts(rows: Rows | None, make: Any) -> list[Chart] | None:
    return None if rows is None else list(make(rows))


def _outcome(content: Mapping[str, Any] | None) -> str:
    """Say how a run ended."""
    if content is None:
        return ""
    message = f"Profile {content.get('profile')}: {content.get('step')} steps"
    best = content.get("best_value")
    if isinstance(best, float):
        message += f", best at step {content.get('best_step')}: {number(best)}"
    return f"{message}; ended by {content.get('finished')}."


def _parts(model: Mapping[str, Any] | None) -> ReportTable | None:
    if model is None:
        return None
    rows = flat_rows(model, leave_out=("profile",))
    return ReportTable("", ("value",), tuple(rows), len(rows))


def _sections(inputs: TrainingReportInputs) -> list[dict[str, Any]]:
    params = inputs.params
    chosen = {
        "features": params.features,
        f"train_syncnet, profile {params.train_syncnet.profile}": params.train_syncnet.chosen,
        f"train_ldm, profile {params.train_ldm.profile}": params.train_ldm.chosen,
        "evaluate": params.evaluate,
    }
    for name in (inputs.metrics or {}).get("systems") or {}:
        if section := getattr(params, name, None):
            chosen[f"{name}, profile {section.profile}"] = section.chosen
    return [{"title": title, "settings": profile_settings(one)} for title, one in chosen.items()]


def _read(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path}: not JSON: {error}; run its stage again") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path}: no object at its top; run its stage again")
    return content


def _rows(path: Path) -> Rows | None:
    try:
        return read_table(path)
    except ValueError as error:
        raise ManifestError(f"{path}: not a table of numbers: {error}; train again") from error


def main() -> None:
    """`python -m trainers.training_report`, called by dvc.yaml."""
    build_training_report(Path(), load_params())


if __name__ == "__main__":
    run_main(main)
