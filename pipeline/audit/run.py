"""The two commands on the tables of a run: clips in, a page or a score out."""

from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline.atomic import write_json, write_text
from pipeline.audit.audited_limits import audited_limits, rivals_of
from pipeline.audit.draw import DrawnForRule, draw
from pipeline.audit.key_file import AuditError, key_of, read_key, write_key
from pipeline.audit.label_page import LabelPage, OpenArtifact, label_page
from pipeline.audit.labels import read_labels, verdicts
from pipeline.audit.score import population, score
from pipeline.audit.score_texts import as_json, as_page, as_text
from pipeline.engine.cache import open_cache
from pipeline.params.curation import SelectParams, load_params
from pipeline.tables.run_tables import ClipJoin, RunTables


def write_page(
    data: Path,
    out: Path,
    count: int,
    seed: int,
    megabytes: float,
    names: Collection[str] = (),
    open_artifact: OpenArtifact | None = None,
) -> str:
    """Write the page and its key, and return what to say about them.

    Raises:
        AuditError: an unknown limit is named.
        ManifestError: the stages up to `quality` have not run.
        StorageError: the page cannot be written.
    """
    drawn = _draw(data, names, load_params().select, count, seed)
    made = label_page(drawn, seed, megabytes, open_artifact or open_cache().artifact_path)
    write_text(out, made.html)
    write_key(key_of(out), made.key)
    return "\n".join(_page_lines(out, drawn, made))


def write_score(data: Path, labels: Sequence[Path], key_path: Path, out: Path) -> str:
    """Write audit_score.json and audit_score.html, and return the same as text.

    Raises:
        AuditError: the key or a file of labels cannot be used.
        ManifestError: the stages up to `quality` have not run.
        StorageError: the files cannot be written.
    """
    key = read_key(key_path)
    said = verdicts(read_labels(labels, key))
    params, join = load_params().select, ClipJoin(RunTables(data))
    limits = audited_limits(params, rivals_of(join, params))
    everyone = population(join.in_order(), limits)
    found = score(key, said, limits, everyone)
    write_json(out / "audit_score.json", as_json(found))
    write_text(out / "audit_score.html", as_page(found))
    return as_text(found)


def _draw(
    data: Path, names: Collection[str], params: SelectParams, count: int, seed: int
) -> list[DrawnForRule]:
    """Draw for the named limits, or all; what is drawn inside meets all others, named or not."""
    join = ClipJoin(RunTables(data))
    limits = audited_limits(params, rivals_of(join, params))
    known = [one.name for one in limits]
    if unknown := sorted(set(names) - set(known)):
        raise AuditError(f"no limit {unknown[0]!r} to audit; known: {', '.join(known)}")
    drawn = draw(join.in_order(), limits, count, seed)
    return [one for one in drawn if not names or one.limit.name in names]


def _page_lines(out: Path, drawn: Sequence[DrawnForRule], made: LabelPage) -> list[str]:
    lines = [f"{'limit':<20} {'inside':>7} {'outside':>7}   beyond it in the tables"]
    for one in drawn:
        beyond = f"{one.rejected}, {one.rejected_alone} of them for this alone"
        drawn_of_it = f"{len(one.inside):>7} {len(one.outside):>7}"
        lines.append(
            f"{one.limit.name:<20} {drawn_of_it}   {beyond if one.rejected else 'nothing'}"
        )
    lines.append(f"{made.films} clips to label: {out}, {len(made.html) / 1e6:.1f} MB")
    if made.no_room:
        lines.append(f"{made.no_room} clips left out: --max-mb is used up")
    if made.no_files:
        lines.append(f"{made.no_files} clips left out: not in the item cache, or damaged there")
    return [*lines, f"key, not for those who label: {key_of(out)}"]
