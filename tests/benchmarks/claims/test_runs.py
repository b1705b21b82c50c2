"""Runs of the claims: what they are named by, that none is made twice, what they may import."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from benchmarks.claims import results, runs
from benchmarks.claims.__main__ import CLAIMS, main
from benchmarks.claims.claim import Comparison
from benchmarks.claims.errors import ClaimsError
from benchmarks.claims.page import write_page
from benchmarks.claims.profiles import BENCHES, profile_of, with_keys
from benchmarks.claims.runs import MADE_FOR, Plan, Shards, chosen
from benchmarks.claims.scheduling import run_all
from benchmarks.claims.syncnet_claims import BATCH, FRAMES, WIDTH
from benchmarks.claims.table import END, begin_mark, update_document
from pipeline.params.training import SyncnetProfile
from tests.conftest import ROOT
from tests.trainers.data.made_shards import write_shards


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for split, lengths in (("train", [[60, 64], [70]]), ("val", [[60]])):
        write_shards(folder / split, lengths)
    return folder


def plan(films, *claims, quick=True, seeds=1):
    return Plan(claims=claims, seeds=seeds, quick=quick, shards=Shards(films, films / "sets"))


def test_every_variant_of_every_claim_is_a_possible_profile():
    for claim in CLAIMS:
        for variant in claim.variants.values():
            for quick in (False, True):
                profile = profile_of(variant, 2, quick)
                assert profile.fit.seed == 2
                assert type(profile) is type(BENCHES[variant.system].profile)


def test_claims_share_runs_and_seeds_do_not(films):
    both = plan(films, BATCH, FRAMES, seeds=2)
    shared = {run.digest for run in both.runs_of(BATCH)["4"]}
    assert shared == {run.digest for run in both.runs_of(FRAMES)["16"]}
    assert len(shared) == 2
    assert len(both.all_runs()) == 2 * 5


def test_a_run_is_named_by_its_clips_and_not_by_their_place(films, tmp_path):
    shutil.copytree(films, tmp_path / "elsewhere")
    there = plan(tmp_path / "elsewhere", WIDTH).all_runs()
    assert [run.digest for run in there] == [run.digest for run in plan(films, WIDTH).all_runs()]
    (tar,) = (films / "val").rglob("*.tar")
    shutil.copy(tar, tmp_path / "elsewhere/train/zzz.tar")
    runs.fingerprint.cache_clear()
    assert plan(tmp_path / "elsewhere", WIDTH).all_runs()[0].digest != there[0].digest


def test_what_a_model_is_supervised_by_is_run_first(films):
    claim = next(one for one in CLAIMS if one.key == "e.trepa")
    first, second, *others = plan(films, claim, quick=False).all_runs()
    assert {first.facts["system"], second.facts["system"]} == {"syncnet", "temporal_encoder"}
    assert {one.digest for one in others[0].needs} == {first.digest, second.digest}
    assert [one.digest for one in others[1].needs] == [first.digest]


def test_an_unknown_key_or_claim_is_named():
    with pytest.raises(ClaimsError, match=r"fit.steps: no key of SyncnetProfile.*max_steps"):
        with_keys(SyncnetProfile(), {"fit.steps": 3})
    with pytest.raises(ClaimsError, match=r"--only z: no such claim; known: a, b.offsets"):
        chosen(CLAIMS, "a,z")
    assert {one.key for one in chosen(CLAIMS, "b.batch,f")} == {"b.batch", "b.batch_cost", "f"}


def test_other_sets_must_have_been_made_beside_our_clips(films, tmp_path):
    shards = Shards(films, tmp_path)
    with pytest.raises(ClaimsError, match=r"no sets made for .*films\d; .*shard_sets"):
        shards.train("shifted")
    (tmp_path / MADE_FOR).write_text(json.dumps(shards.facts()))
    assert shards.train("shifted") == tmp_path / "shifted" / "train"
    (tmp_path / MADE_FOR).write_text(json.dumps({**shards.facts(), "validation": "other"}))
    with pytest.raises(ClaimsError, match="no sets made for"):
        shards.train("shifted")
    with pytest.raises(ClaimsError, match=r"train: no .tar; `make repro`"):
        runs.fingerprint(tmp_path / "train")


def test_a_run_stopped_half_way_goes_on_is_not_repeated_and_gives_page_and_table(
    films, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    one = Comparison(metric="loss", higher="64", lower="64")
    small = replace(WIDTH, variants={"64": WIDTH.variants["64"]}, comparisons=(one,))
    only, said = plan(films, small), []
    stopped = _stopped_half_way(only.all_runs()[0])
    left = run_all(only.all_runs(), 2, 300.0, said.append)
    assert (left.waiting, left.failed) == ([], [])
    assert stopped.result()["steps"] == 3
    assert stopped.result()["attempts"] == 2
    assert len(said) == 1
    assert not (stopped.folder / "training").exists()
    assert run_all(only.all_runs(), 2, 300.0, said.append).failed == []
    assert len(said) == 1, "finished runs are not made again"
    _check_reports(only, tmp_path)


def _stopped_half_way(run):
    """Start a run by itself, and end it with SIGTERM after its first step."""
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(json.dumps(run.order()))
    command = [sys.executable, "-m", "benchmarks.claims.run_one", str(run.folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    curve, end = run.folder / "training/metrics.jsonl", time.monotonic() + 120
    while time.monotonic() < end and not (curve.exists() and '"step": 1' in curve.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert not run.finished
    return run


def _check_reports(only, folder):
    found = results.results_of(only)
    assert found["note"] == "quick: shows that it runs, proves nothing"
    (claim,) = found["claims"]
    assert claim["verdict"] == "no verdict"
    assert [len(one["numbers"]["loss"]) for one in claim["variants"]] == [1]
    write_page(folder / "index.html", found, only)
    text = (folder / "index.html").read_text()
    assert "proves nothing" in text
    assert "<polyline" in text
    assert "http" not in text
    results.write_results(folder / "results.json", found)
    document, groups = folder / "claims.md", {"first": [WIDTH.key]}
    second = f"{begin_mark('second')}\nof others\n{END}\nafter\n"
    document.write_text(f"before\n{begin_mark('first')}\nold\n{END}\n{second}")
    with pytest.raises(ClaimsError, match="proves nothing"):
        update_document(folder / "results.json", groups, document)
    results.write_results(folder / "results.json", {**found, "note": ""})
    with pytest.raises(
        ClaimsError, match=r"claims.md: lacks the lines '<!-- begin: .*, third -->'"
    ):
        update_document(folder / "results.json", {"third": [WIDTH.key]}, document)
    update_document(folder / "results.json", groups, document)
    written = document.read_text()
    assert written.startswith("before\n")
    assert written.endswith(f"{END}\n{second}"), "the tables of another group stay as they are"
    assert "old" not in written
    assert "| 64 | 1 | 0." in written


def results_of_all(folder, *, without=(), empty=()):
    """What a run of every claim leaves; some claims absent, some without a finished run."""
    claims = [
        {"key": one.key, "variants": [{"runs": [] if one.key in empty else ["d"]}]}
        for one in CLAIMS
        if one.key not in without
    ]
    results.write_results(folder / "results.json", {"note": "", "claims": claims})
    return folder / "results.json"


@pytest.mark.parametrize("missing", [{"without": ("f",)}, {"empty": ("f",)}])
def test_no_table_is_written_from_results_in_which_a_claim_has_no_run(
    tmp_path, monkeypatch, capsys, missing
):
    document = tmp_path / "docs" / "claims.md"
    document.parent.mkdir()
    document.write_text(f"{begin_mark('latentsync')}\nold\n{END}\n")
    results_of_all(tmp_path / "reports/claims", **missing)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["claims", "--table"])
    assert main() == 1
    assert "no run of f; run `python -m benchmarks.claims`" in capsys.readouterr().err
    assert "old" in document.read_text()


@pytest.mark.parametrize(
    "given",
    [
        ("--seeds", "0"),
        ("--seeds", "-1"),
        ("--seeds", "1.5"),
        ("--jobs", "0"),
        ("--budget-minutes", "nan"),
        ("--budget-minutes", "-1"),
        ("--budget-minutes", "soon"),
        ("--only", "z"),
    ],
)
def test_an_impossible_argument_is_named_and_nothing_is_written(
    tmp_path, monkeypatch, capsys, given
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["claims", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert " ".join(given)[:6] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_our_clips_the_exit_code_is_1_and_without_minutes_nothing_is_started(
    films, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["claims", "--only", "b.width"])
    assert main() == 1
    assert "error: data/shards" in capsys.readouterr().err
    given = ["--only", "b.width", "--shards", str(films), "--budget-minutes", "0"]
    monkeypatch.setattr(sys, "argv", ["claims", *given])
    assert main() == 0
    assert "9 runs left" in capsys.readouterr().out
    assert not (tmp_path / ".cache").exists()


def test_every_argument_has_a_help_text(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["claims", "--help"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out.partition("options:")[2]
    for option in re.split(r"\n  (?=-)", said)[1:]:
        name, _, text = option.partition(" ")
        assert len(text.split()) > 2, name


def test_nothing_of_a_run_needs_ray_or_dvc():
    code = (
        "import sys; sys.modules['ray'] = sys.modules['dvc'] = None; "
        "import benchmarks.claims.__main__, benchmarks.claims.run_one; "
        "import benchmarks.claims.syncnet_run, benchmarks.claims.diffusion_run, "
        "benchmarks.claims.avsyncnet_run, benchmarks.claims.talker_run, "
        "benchmarks.claims.syncdiff_run"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
