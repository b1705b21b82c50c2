"""The tables of docs/claims.md, written from results.json between two marks per group."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claims.errors import ClaimsError
from benchmarks.claims.page import shown
from benchmarks.claims.results import read_results
from pipeline.atomic import write_text

DOCUMENT = Path("docs/claims.md")
END = "<!-- end -->"


def update_document(
    results: Path, groups: Mapping[str, Sequence[str]], document: Path = DOCUMENT
) -> None:
    """Replace what stands between the marks of each group.

    Args:
        groups: keys of the claims of a group, all of which must be among the results.

    Raises:
        ClaimsError: there are no results, only quick ones, none of a claim, or the document lacks
            the marks of a group.
    """
    if not results.exists():
        raise ClaimsError(f"{results}: no such file; run `python -m benchmarks.claims` first")
    found = read_results(results)
    if found["note"]:
        raise ClaimsError(f"{results}: {found['note']}")
    if missing := _without_run(found, [key for keys in groups.values() for key in keys]):
        fix = "run `python -m benchmarks.claims` until all are there; finished runs are kept"
        raise ClaimsError(f"{results}: no run of {', '.join(missing)}; {fix}")
    text = document.read_text(encoding="utf-8")
    for group, keys in groups.items():
        claims = [claim for claim in found["claims"] if claim["key"] in keys]
        text = _replaced(text, group, tables({**found, "claims": claims}), document)
    write_text(document, text)


def _replaced(text: str, group: str, tables_of_group: str, document: Path) -> str:
    begin = begin_mark(group)
    head, found, rest = text.partition(begin)
    _, end, tail = rest.partition(END)
    if not (found and end):
        raise ClaimsError(f"{document}: lacks the lines {begin!r} and {END!r}")
    return f"{head}{begin}\n\n{tables_of_group}\n{END}{tail}"


def begin_mark(group: str) -> str:
    """Return the line above a group's tables."""
    return f"<!-- begin: python -m benchmarks.claims --table, {group} -->"


def _without_run(results: Mapping[str, Any], expected: Sequence[str]) -> list[str]:
    """Return the keys of claims none of whose variants has a finished run, or that are absent."""
    runs = {one["key"]: sum(len(v["runs"]) for v in one["variants"]) for one in results["claims"]}
    return [key for key in expected if not runs.get(key)]


def tables(results: Mapping[str, Any]) -> str:
    """Return a summary table, then one table per claim."""
    lines = ["| claim | source | verdict |", "|---|---|---|"]
    for claim in results["claims"]:
        cells = (claim["statement"], claim["source"], f"**{claim['verdict']}**")
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    for claim in results["claims"]:
        lines += ["", *_claim(claim, results["metrics"])]
    return "\n".join(lines) + "\n"


def _claim(claim: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    names = claim["metrics"]
    titles = [metrics[name]["title"] for name in names]
    lines = [f"### {claim['title']}: {claim['verdict']}", "", claim["here"], ""]
    lines.append(f"| variant | seeds | {' | '.join(map(_cell, titles))} |")
    lines.append("|" + "---|" * (len(names) + 2))
    for one in claim["variants"]:
        cells = [_cell(one["label"]), str(len(one["runs"]))]
        cells += [_number(one, name) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines += [_sentence(one, metrics) for one in claim["comparisons"]]
    return lines


def _number(variant: Mapping[str, Any], name: str) -> str:
    mean, deviation = variant["mean"].get(name), variant["deviation"].get(name)
    return shown(mean, name) + (f" ± {shown(deviation, name)}" if deviation is not None else "")


def _sentence(one: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    name = one["metric"]
    error = f" ± {shown(one['standard_error'], name)}" if one["standard_error"] is not None else ""
    pair = f"{one['claimed_higher']} above {one['claimed_lower']}"
    difference = shown(one["difference"], name)
    what = ("spread over seeds of " if one["of"] == "spread" else "") + metrics[name]["title"]
    return f"- {what}, {pair}: {difference}{error}, {one['verdict']}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
