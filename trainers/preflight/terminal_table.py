"""The results of the pre-flight on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainers.preflight.checks import Check, SplitFindings, Verdict

COLOURS: Mapping[Verdict, str] = {"ok": "green", "warning": "yellow", "stop": "bold red"}
BAR_CELLS = 24


def print_preflight(
    system: str,
    checks: tuple[Check, ...],
    findings: SplitFindings,
    verdict: Verdict,
    console: Console,
) -> None:
    """Print the offsets as bars, then every check."""
    console.print(_offsets(findings))
    console.print(_checks(system, checks, verdict))


def _checks(system: str, checks: tuple[Check, ...], verdict: Verdict) -> Table:
    table = Table(title=f"{system} pre-flight: {verdict}", title_justify="left")
    for name in ("check", "verdict", "finding"):
        table.add_column(name)
    for one in checks:
        colour = COLOURS[one.verdict]
        fix = f"\n[dim]fix: {escape(one.fix)}[/]" if one.fix else ""
        table.add_row(one.name, f"[{colour}]{one.verdict}[/]", escape(one.finding) + fix)
    return table


def _offsets(findings: SplitFindings) -> Table:
    before, after = findings.train.offsets_before, findings.train.offsets_after
    table = Table(title="A/V offset of the training clips, in frames", title_justify="left")
    table.add_column("audio early by", justify="right")
    table.add_column("as found")
    table.add_column("after the correction")
    most = max([*before.values(), *after.values()], default=1)
    for offset in sorted({int(one) for one in (*before, *after)}):
        name = str(offset)
        cells = (_bar(side.get(name, 0), most) for side in (before, after))
        table.add_row(f"{offset:+d}" if offset else "0", *cells)
    return table


def _bar(count: int, most: int) -> str:
    return f"{'█' * round(count / most * BAR_CELLS)} {count}" if count else ""
