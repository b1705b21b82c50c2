"""all tables -> reports/report.html: one page with its films inside that needs no network."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.atomic import write_text
from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA, run_main
from pipeline.judge.landmark.calibration import CurvePoint
from pipeline.judge.landmark.weights import load_calibration
from pipeline.params.curation import Params, load_params
from pipeline.report.page import ReportInputs, render
from pipeline.report.reported_clips import COLUMNS, reported_clips
from pipeline.report.shown_clips import OpenArtifact
from pipeline.tables.funnel import funnel
from pipeline.tables.run_tables import RunTables

REPORTS = Path("reports")
PAGE = "report.html"


def build_report(
    data: Path,
    reports: Path,
    params: Params,
    open_artifact: OpenArtifact | None = None,
    measured: Sequence[CurvePoint] = (),
) -> Path:
    """Write `report.html` below `reports` from the tables below `data` and return its path.

    `measured`: precision and recall of the landmark judge over its threshold. Stages that have not
    run are left out. Same tables, params and clips: same bytes.

    Raises:
        StorageError: the page cannot be written.
    """
    tables = RunTables(data, columns=COLUMNS)
    inputs = ReportInputs(
        tables=tables,
        clips=reported_clips(tables),
        funnel=funnel(tables),
        params=params,
        open_artifact=open_artifact or open_cache().artifact_path,
        measured=measured,
    )
    write_text(reports / PAGE, render(inputs))
    return reports / PAGE


def main() -> None:
    """`python -m stages.report`, called by dvc.yaml."""
    build_report(DATA, REPORTS, load_params(), measured=load_calibration().points)


if __name__ == "__main__":
    run_main(main)
