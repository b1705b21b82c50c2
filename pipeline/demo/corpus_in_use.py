"""The demo corpus as the source of a run: rendered and compared only while `ingest` reads it."""

from pathlib import Path
from typing import Any

from pipeline.atomic import write_json
from pipeline.demo.compare import compare
from pipeline.params.curation import Params

DEMO = Path("data/demo")


def is_in_use(params: Params, folder: Path = DEMO) -> bool:
    """Return whether `ingest.source` lies in the corpus' folder."""
    return Path(params.ingest.source).is_relative_to(folder)


def render_in_use(params: Params, out: Path = DEMO) -> None:
    """Render the corpus if the run reads it, else leave a note: DVC wants the folder either way.

    Raises:
        LipforgeError: the extra `demo` is not installed.
    """
    if is_in_use(params, out):
        render(params, out)
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "not-used.txt").write_text("ingest.source is another folder\n", encoding="utf-8")


def render(params: Params, out: Path = DEMO) -> None:
    """Render the corpus as the section `demo` asks."""
    from pipeline.demo.corpus import render_corpus  # needs the extra `demo`

    render_corpus(out, params.demo.seed, params.demo.videos)


def write_comparison(params: Params, data: Path, out: Path) -> dict[str, Any] | None:
    """Compare the run with the corpus' truth and write the metrics; None if it read other videos.

    Raises:
        ManifestError: no table of `ingest`.
    """
    answers = DEMO / "truth.json"
    if not is_in_use(params) or not answers.exists():
        write_json(out, {"compared": False, "why": "ingest.source is not the demo corpus"})
        return None
    metrics = compare(answers, data, max_cover=params.select.max_cover)
    write_json(out, {"compared": True, **metrics})
    return metrics
