"""`lipforge audit`: the page to label on, and the score of what was labelled."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.engine.command import DATA

audit_app = typer.Typer(
    no_args_is_help=True,
    help="What the limits of `select` are worth: people label clips near them.",
)
REPORTS = Path("reports")
PAGE = REPORTS / "audit.html"
KEY = REPORTS / "audit.key.json"


@audit_app.command("page")
def page(
    out: Annotated[Path, typer.Argument(help="The page; its key lies beside it.")] = PAGE,
    count: Annotated[int, typer.Option(min=1, help="Clips on each side of each limit.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw among equals, and the order.")] = 0,
    max_mb: Annotated[float, typer.Option(min=1, help="Megabytes of films in the page.")] = 100.0,
    rule: Annotated[
        list[str], typer.Option(help="Only this limit, as min_face_px; may be repeated.")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Write a page on which clips just inside and just outside of every limit are labelled."""
    from pipeline.audit.run import write_page  # PyAV

    typer.echo(write_page(DATA, out, count, seed, max_mb, rule))


@audit_app.command("score")
def score(
    labels: Annotated[list[Path], typer.Argument(help="Files that the page saved.")],
    key: Annotated[Path, typer.Option(help="The key that was written beside the page.")] = KEY,
    out: Annotated[Path, typer.Option(help="Folder of audit_score.json and .html.")] = REPORTS,
) -> None:
    """Print precision and recall of every limit, the labellers' agreement, and better limits."""
    from pipeline.audit.run import write_score

    typer.echo(write_score(DATA, labels, key, out))
