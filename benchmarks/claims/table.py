"""The tables of docs/claims.md, written from results.json between two marks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.claims.page import shown
from benchmarks.claims.results import read_results
from benchmarks.claims.runs import ClaimsError
from pipeline.atomic import write_text

DOCUMENT = Path("docs/claims.md")
BEGIN = "<!-- begin: python -m benchmarks.claims --table -->"
END = "<!-- end -->"


def update_document(results: Path, document: Path = DOCUMENT, expected: Sequence[str] = ()) -> None:
    """Replace what stands between the marks.

    Args:
        expected: keys of the claims that must be among the results.

    Raises:
        ClaimsError: there are no results, only quick ones, none of a claim, or the document lacks
            the marks.
    """
    if not results.exists():
        raise ClaimsError(f"{results}: no such file; run `python -m benchmarks.claims` first")
    found = read_results(results)
    if found["note"]:
        raise ClaimsError(f"{results}: {found['note']}")
    if missing := _without_run(found, expected):
        fix = "run `python -m benchmarks.claims` until all are there; finished runs are kept"
        raise ClaimsError(f"{results}: no run of {', '.join(missing)}; {fix}")
    text = document.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ClaimsError(f"{document}: lacks the lines {BEGIN!r} and {END!r}")
    write_text(document, f"{head}{BEGIN}\n\n{tables(found)}\n{END}{tail}")


def _without_run(results: Mapping[str, Any], expected: Sequence[str]) -> list[str]:
    """Return the keys of claims none of whose variants has a finished run, or that are absent."""
    runs = {one["key"]: sum(len(v["runs"]) for v in one["variants"]) for one in results["claims"]}
    return [key for key in dict.fromkeys([*runs, *expected]) if not runs.get(key)]


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
    return f"- {metrics[name]['title']}, {pair}: {difference}{error}, {one['verdict']}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
