"""The `lipforge` command."""

import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.audit.command import audit_app
from pipeline.demo.corpus_in_use import DEMO, render, render_in_use, write_comparison
from pipeline.demo.targets import missed, render_table
from pipeline.engine import roots
from pipeline.engine.cache import open_cache
from pipeline.engine.command import DATA, run_main
from pipeline.engine.garbage import Garbage, by_stage, find_garbage, remove
from pipeline.engine.manifest import cache_keys, read_table
from pipeline.engine.side_store import side_store
from pipeline.errors import LipforgeError, ManifestError, TruthError, WeightsError
from pipeline.export.command import export
from pipeline.judge.syncnet.weights import VALIDATORS
from pipeline.params.curation import load_params
from pipeline.params.environment import environment, variable
from pipeline.recipe.command import recipe, rehydrate
from pipeline.submit.command import submit
from pipeline.tables.funnel import funnel
from pipeline.tables.judges_used import fallback_notes
from pipeline.tables.run_tables import TABLES, RunTables, table_path
from pipeline.takedown.command import takedown
from pipeline.validation.command import migrate, validate
from pipeline.weights import files as weight_files

FEATURES = [DATA / "features" / name for name in ("clips.parquet", "latents/clips.parquet")]
"""The trainers' tables of cached items."""
COMMANDS, STAGES = "lipforge.commands", "lipforge.stages"
"""Groups of entry points (pyproject.toml): this package imports none of them."""
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Raw talking-head video in, lip-sync shards out.",
)
cache_app = typer.Typer(no_args_is_help=True, help="Finished items, kept between runs.")
weights_app = typer.Typer(no_args_is_help=True, help="Model files, pinned by SHA-256.")
app.command("submit")(submit)
app.add_typer(audit_app, name="audit")
app.command("export")(export)
app.command("recipe")(recipe)
app.command("rehydrate")(rehydrate)
app.command("validate")(validate)
app.command("migrate")(migrate)
app.command("takedown")(takedown)
app.add_typer(cache_app, name="cache")
app.add_typer(weights_app, name="weights")
console = Console()


class StageName(StrEnum):
    """What `lipforge run` can run: entry points of the group `lipforge.stages`."""

    INGEST = "ingest"
    SCENES = "scenes"
    FACES = "faces"
    SYNC = "sync"
    STRETCHES = "stretches"
    QUALITY = "quality"
    SELECT = "select"
    SHARDS = "shards"
    REPORT = "report"


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to render into.")] = DEMO,
    if_source: Annotated[
        bool, typer.Option(help="Only when params.yaml's ingest.source lies in that folder.")
    ] = False,
) -> None:
    """Render the demo corpus: talking faces with ground truth, and faults."""
    (render_in_use if if_source else render)(load_params(), out)


@app.command()
def truth(
    out: Annotated[Path, typer.Option(help="Where the metrics go.")] = Path("reports/truth.json"),
    quiet: Annotated[bool, typer.Option(help="Write the metrics, print nothing.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 when a target is missed.")] = False,
) -> None:
    """Compare the curation with the demo corpus' ground truth."""
    metrics = write_comparison(load_params(), DATA, out)
    if metrics is None:
        return
    if not quiet:
        console.print(render_table(metrics))
    names = missed(metrics)
    if strict and names:
        raise TruthError(f"the demo corpus misses its targets for {', '.join(names)}")


@app.command()
def run(
    stage: StageName,
    retry: Annotated[
        list[str], typer.Option(help="Do cached items again that ended with this reason.")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Run one stage as `dvc repro` would, on what the stages before it left."""
    if retry:
        os.environ[variable("retry")] = ",".join(retry)
        environment()  # refuses what is no reason
    for one in entry_points(group=STAGES, name=stage.value):
        one.load()()
        return
    fix = "run `pip install -e .` in the project's folder"
    raise LipforgeError(f"stage {stage.value}: not installed as an entry point of {STAGES}; {fix}")


@app.command()
def judge(
    videos: Annotated[list[str], typer.Argument(help="Files, folders, globs, lists or URLs.")],
    by: Annotated[
        Literal["landmark", "syncnet"], typer.Option("--judge", help="Bundled, or SyncNet.")
    ] = "landmark",
    mode: Annotated[
        Literal["reference", "masked"] | None,
        typer.Option(help="SyncNet's edges: zeros (reference, the default), or left out."),
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="SyncNet's; float32 if not given.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="SyncNet's: a syncnet_v2.model; else it is fetched.")
    ] = None,
    min_seconds: Annotated[float, typer.Option(min=1.0, help="Shorter faces: no score.")] = 2.0,
    cropped: Annotated[bool, typer.Option(help="They are SyncNet's crops already.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write everything there.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Folder for a drawing per face.")] = None,
) -> None:
    """Print by how many frames sound and lips are apart, for every face of every video."""
    from pipeline.judge.command.run import JudgeOptions, judge_videos, sync_params  # loads torch

    sync = sync_params(by, weights=weights, mode=mode, precision=precision)
    options = JudgeOptions(
        sync=sync, min_seconds=min_seconds, cropped=cropped, json=json, plot=plot
    )
    if not judge_videos(videos, options):
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Print what became of every input, stage by stage."""
    content = funnel(RunTables(DATA))
    if not content["stages"]:
        raise ManifestError("no tables yet: run `dvc repro`")
    table = Table(title=f"{content['sources']} inputs")
    for name in ("stage", "in", "kept", "rejected", "failed", "quarant.", "rows", "seconds"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for line in content["stages"]:
        table.add_row(*_funnel_cells(line))
    console.print(table)
    _print_reasons(content)
    for note in fallback_notes(content["judges"]):
        console.print(f"[bold]note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    report = Path("reports/report.html")
    if report.exists():
        console.print(f"report: {report.absolute().as_uri()}", soft_wrap=True, highlight=False)


@app.command()
def inspect(clip: Annotated[str, typer.Argument(help="A clip_id, or its beginning.")]) -> None:
    """Print every row of every table that is about one clip, its parts, or the clip of a part."""
    paths = {stage: table_path(DATA, stage) for stage in TABLES}
    tables = {stage: read_table(path) for stage, path in paths.items() if path.exists()}
    names = {name for rows in tables.values() for row in rows for name in _clip_names(row)}
    asked = {name for name in names if name.startswith(clip)}
    if not asked:
        raise ManifestError(f"no table has a clip {clip!r}; ids stand in data/faces/clips.parquet")
    of_parts = (_clip_names(row) for rows in tables.values() for row in rows)
    wanted = asked | {name for both in of_parts if both & asked for name in both}
    for stage, rows in tables.items():
        for row in rows:
            if _clip_names(row) & wanted:
                console.print(_facts(stage, row))


def _clip_names(row: Mapping[str, Any]) -> set[str]:
    return {str(row[key]) for key in ("clip_id", "source_clip_id") if row.get(key)}


@cache_app.command("gc")
def cache_gc(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts.")] = False,
    forget_root: Annotated[
        list[str], typer.Option(help="Id of a workspace that is gone for good.")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Remove cached items that no workspace on this cache needs, after showing what and asking."""
    cache, store, named = open_cache(), side_store(), _named_here()
    for root in forget_root:
        roots.forget(store, root)
    known = roots.roots(store)
    if not named and not known:
        raise ManifestError("no tables here: garbage collection would empty the whole cache")
    garbage = find_garbage(cache, store, named)
    console.print(_roots_table(known))
    console.print(_garbage_table(garbage))
    if garbage and not yes and not _agrees():
        raise typer.Exit(1)
    count = remove(cache, store, garbage, _named_here())
    console.print(f"removed {count} entries", highlight=False)


def _named_here() -> set[str]:
    tables = [table_path(DATA, stage) for stage in TABLES if stage != "ingest"] + FEATURES
    tables += [path.with_suffix(".failed.parquet") for path in tables]
    return {key for path in tables for key in cache_keys(path)}


def _agrees() -> bool:
    if not sys.stdin.isatty():
        console.print("nothing removed: no terminal to ask at; --yes removes without asking")
        return False
    return typer.confirm("Remove them?")


def _roots_table(known: Sequence[roots.Root]) -> Table:
    table = Table("root", "workspace", "state", title="kept for", title_justify="left")
    for root in known:
        cure = "gone: --forget-root" if root.state() == "gone" else root.state()
        table.add_row(root.id, escape(root.path), escape(cure))
    return table


def _garbage_table(garbage: Sequence[Garbage]) -> Table:
    table = Table("stage", "entries", "bytes", title="may be removed", title_justify="left")
    for stage, (count, size) in by_stage(garbage).items():
        table.add_row(stage, str(count), str(size))
    total = sum(one.size_bytes for one in garbage)
    table.add_row("all", str(len(garbage)), str(total))
    return table


@weights_app.command("list")
def weights_list() -> None:
    """Print every model file: where from, on what terms, and whether it is here."""
    table = Table("name", "what", "from", "licence", "SHA-256", "here")
    state = weight_files.verify()
    for one in weight_files.list_weights():
        where, digest = f"{one.kind}: {one.location}", weight_files.sha256_of(one.name)[:12]
        table.add_row(one.name, one.what, where, one.licence, digest or "-", state[one.name])
    console.print(table)


@weights_app.command("fetch")
def weights_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Files; none: all but those on demand.")
    ] = None,
) -> None:
    """Get what is absent or altered, and check it."""
    weight_files.fetch(names or None, VALIDATORS)
    console.print(f"weights are complete in {weight_files.weights_dir()}", soft_wrap=True)


@weights_app.command("verify")
def weights_verify() -> None:
    """Check the SHA-256 of every model file."""
    state = weight_files.verify()
    bad = {name: one for name, one in state.items() if one not in ("ok", "not fetched")}
    if bad:
        listed = "; ".join(f"{name} is {state}" for name, state in bad.items())
        fixes = dict.fromkeys(weight_files.fix_of(name) for name in bad)  # in order, each once
        raise WeightsError(f"{listed}; {'; '.join(fixes)}")
    console.print("every weight has the SHA-256 of the lock")


def _print_reasons(content: Mapping[str, Any]) -> None:
    for line in content["stages"]:
        for ending, reasons in line["reasons"].items():
            for reason, count in reasons.items():
                console.print(f"  {line['stage']}: {ending}: {reason} {count}", highlight=False)


def _funnel_cells(line: dict[str, Any]) -> list[str]:
    numbers = [line["in"], *(line[s] for s in ("kept", "rejected", "failed", "quarantined"))]
    kept_s = f"{line['seconds_kept']:.0f}" if line["seconds_kept"] else "-"
    return [line["stage"], *map(str, numbers), str(line["rows"]), kept_s]


def _facts(stage: str, row: dict[str, Any]) -> Table:
    table = Table("field", "value", title=stage, title_justify="left")
    for name, value in row.items():
        if value not in (None, ""):
            table.add_row(name, Text(str(value)))
    return table


def add_commands(to: typer.Typer) -> None:
    """Add the commands that other packages declare as entry points: this one imports none of them.

    A declared module must be cheap to import, or every command would have to wait for it.
    """
    for one in sorted(entry_points(group=COMMANDS), key=lambda one: one.name):
        to.command(one.name)(one.load())


def main() -> None:
    """Entry point of the `lipforge` command."""
    add_commands(app)
    run_main(app, takes_arguments=True)
