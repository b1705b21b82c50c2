"""`python -m benchmarks.claims`: plan, run what is missing, write page, results and table.

python -m benchmarks.claims [--only a,b] [--seeds 3] [--jobs 2] [--budget-minutes 60]
    [--shards data/shards] [--sets data/claims]
python -m benchmarks.claims --quick
python -m benchmarks.claims --table [--only g,h,i]

The first form can be repeated until nothing is left; finished runs are not made again. `--quick`
runs everything for a few steps. `--table` writes the tables of docs/claims.md from results.json;
with `--only` those of the groups that the claims belong to.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.claims.claim import Claim
from benchmarks.claims.diffusion_claims import DIFFUSION_CLAIMS
from benchmarks.claims.errors import ClaimsError
from benchmarks.claims.neighbour_claims import NEIGHBOUR_CLAIMS
from benchmarks.claims.page import write_page
from benchmarks.claims.results import RESULTS, results_of, write_results
from benchmarks.claims.runs import Plan, Run, Shards, chosen
from benchmarks.claims.scheduling import run_all
from benchmarks.claims.syncnet_claims import SYNCNET_CLAIMS
from benchmarks.claims.table import update_document
from benchmarks.claims.timing import estimate_s
from benchmarks.claims.verdicts import MIN_SEEDS
from pipeline.errors import LipforgeError
from pipeline.limits import usable_cpus

GROUPS = {"latentsync": (*SYNCNET_CLAIMS, *DIFFUSION_CLAIMS), "neighbours": NEIGHBOUR_CLAIMS}
"""Claims whose tables stand together in docs/claims.md."""
CLAIMS = tuple(claim for group in GROUPS.values() for claim in group)
REPORTS = Path("reports/claims")
QUICK_REPORTS = REPORTS / "quick"


def main() -> int:
    """Return the exit code: 1 where a run failed or cannot begin, 0 also where time was up."""
    given = _arguments()
    try:
        if given.table:
            update_document(REPORTS / RESULTS, _groups(chosen(CLAIMS, given.only)))
            return 0
        plan = _plan(given)
        runs = plan.all_runs()
    except LipforgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print_plan(plan, runs, given.jobs)
    left = run_all(
        runs, given.jobs, given.budget_minutes * 60, lambda text: print(text, flush=True)
    )
    return _report(plan, len(left.waiting), len(left.failed))


def _groups(claims: Sequence[Claim]) -> dict[str, list[str]]:
    """Return the keys of all claims of the groups that some claims belong to."""
    wanted = {claim.key for claim in claims}
    keys = {name: [claim.key for claim in group] for name, group in GROUPS.items()}
    return {name: of_group for name, of_group in keys.items() if wanted & set(of_group)}


def _report(plan: Plan, waiting: int, failed: int) -> int:
    out = QUICK_REPORTS if plan.quick else REPORTS
    results = results_of(plan)
    write_results(out / RESULTS, results)
    write_page(out / "index.html", results, plan)
    for claim in results["claims"]:
        print(f"{claim['key']:16} {claim['verdict']:16} {claim['title']}")
    print(f"{out / 'index.html'}; {waiting} runs left, {failed} failed")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims")
    parser.add_argument("--only", default="", help="claims, e.g. a,b.width; default: all")
    parser.add_argument(
        "--seeds",
        type=_count,
        default=MIN_SEEDS,
        help="seeds of every variant, 0 ... N-1; a verdict needs %(default)s",
    )
    parser.add_argument(
        "--jobs", type=_count, default=usable_cpus(), help="runs at a time, of a core each"
    )
    parser.add_argument(
        "--budget-minutes",
        type=_minutes,
        default=1e6,
        help="then stop, resumably; 0: start nothing, write the page of what is finished",
    )
    parser.add_argument(
        "--shards",
        type=Path,
        default=Path("data/shards"),
        help="our clips, with train and val (%(default)s)",
    )
    parser.add_argument(
        "--sets",
        type=Path,
        default=Path("data/claims"),
        help="the other sets, of benchmarks.claims.shard_sets (%(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="shows that it runs, proves nothing")
    parser.add_argument(
        "--table", action="store_true", help="only write the tables of docs/claims.md"
    )
    given = parser.parse_args()
    try:
        chosen(CLAIMS, given.only)
    except ClaimsError as error:
        parser.error(str(error))
    return given


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least 1")
    return int(text)


def _minutes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found >= 0:  # nor nan
        raise argparse.ArgumentTypeError(f"{text}: must be a number of minutes, 0 or more")
    return found


def _plan(given: argparse.Namespace) -> Plan:
    seeds = 1 if given.quick else given.seeds
    shards = Shards(given.shards, given.sets)
    claims = chosen(CLAIMS, given.only)
    return Plan(claims=claims, seeds=seeds, quick=given.quick, shards=shards)


def _print_plan(plan: Plan, runs: list[Run], jobs: int) -> None:
    missing = [run for run in runs if not run.finished]
    seconds = sum(estimate_s(run) for run in missing)
    print(
        f"{len(plan.claims)} claims, {len(runs)} runs, {len(missing)} to do: about "
        f"{seconds / 60:.0f} CPU minutes, {seconds / 60 / jobs:.0f} minutes with {jobs} jobs"
    )
    for claim in plan.claims:
        runs_by_variant = plan.runs_of(claim)
        done = sum(run.finished for runs in runs_by_variant.values() for run in runs)
        total = sum(map(len, runs_by_variant.values()))
        print(f"  {claim.key:16} {done:3} of {total:3} runs done   {claim.title}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
