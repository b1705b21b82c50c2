"""The page reports/training.html: what it shows, what it says is missing, that it is harmless."""

import json
import math
import re
import shutil
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import ManifestError
from pipeline.media.encode import write_clip
from pipeline.params.curation import Params
from tests.stages.test_report import Page, browse
from trainers.page.charts import MOST_POINTS, learning_chart, syncnet_charts, term_charts
from trainers.page.embedded_samples import MOST_SAMPLES, MOST_VIDEO_BYTES, read_samples
from trainers.page.listening_section import listening_section, without_listening
from trainers.page.offset_histograms import offset_histograms
from trainers.page.report_tables import MEANINGS, metric_tables, stand_ins
from trainers.training_report import build_training_report

HOSTILE = "<script>document.title='owned'</script>"
PREFLIGHT = {
    "verdict": "warning",
    "checks": [
        {"name": "amount", "verdict": "warning", "finding": "7.6 min", "fix": f"more {HOSTILE}"},
        {"name": "one batch", "verdict": "ok", "finding": "0.70 to 0.20", "fix": ""},
    ],
    "findings": {
        "train": {"offsets_before": {"-8": 1, "0": 5}, "residual_quarters": {"-1": 2, "0": 4}},
        "overfit": {"losses": [0.7, 0.5, 0.2]},
    },
}
LDM_PREFLIGHT = {
    "verdict": "stop",
    "checks": [{"name": "disk", "verdict": "stop", "finding": "9 GB lacking", "fix": "free space"}],
    "findings": {"train": PREFLIGHT["findings"]["train"], "overfit": None},
}
MODEL = {"vae": "stand-in:blocks", "syncnet": HOSTILE, "sha256": {"unet": "ab" * 32}, "steps": 40}
METRICS = {
    "syncnet": {"accuracy": 0.8125, "pairs": 2048, "split": "val"},
    "ldm": {
        "own": {"ssim": 0.91, "lmd_px": 1.5, "fid_stand_in": {"value": None, "needed_samples": 65}},
        "real": {"ssim": 1.0, "lmd_px": 0.0},
        "names": {"whisper": "stand-in:whisper-tiny"},
        "listening": {
            "own_r": 0.61,
            "foreign_r": 0.52,
            "leak_r": 0.14,
            "chance_r": 0.03,
            "kept_pixels_r": 0.89,
            "vae_r": None,
            "clips": 2,
            "spread": {"own_r": 0.07, "foreign_r": 0.09},
        },
        "skipped": [],
    },
}


def write_curve(path: Path, names: list[str], steps: int = 50) -> None:
    lines = [",".join(["step", *names])]
    for step in range(steps):
        cells = [
            ""
            if name.startswith("validation") and step % 10
            else str(0.4 + math.exp(-step / 9) / 3)
            for name in names
        ]
        lines.append(",".join([str(step * 10), *cells]))
    path.write_text("\n".join(lines) + "\n")


def write_run(root: Path) -> Path:
    for folder in ("models/train_syncnet", "models/train_ldm", "reports/samples"):
        (root / folder).mkdir(parents=True)
    (root / "models/train_syncnet/preflight.json").write_text(json.dumps(PREFLIGHT))
    (root / "models/train_ldm/preflight.json").write_text(json.dumps(LDM_PREFLIGHT))
    (root / "models/train_ldm/model.json").write_text(json.dumps(MODEL))
    (root / "reports/metrics.json").write_text(json.dumps(METRICS))
    ended = {"profile": HOSTILE, "step": 490, "finished": "max_steps", "best_value": None}
    (root / "reports/train_syncnet.json").write_text(json.dumps(ended))
    sync = ["train/learning_rate", "train/syncnet/bce", "validation/accuracy", "validation/loss"]
    write_curve(root / "reports/train_syncnet_curve.csv", sync)
    ldm = ["train/unet/noise", "train/unet/trepa", "validation/noise", "validation/<b>odd</b>"]
    write_curve(root / "reports/train_ldm_curve.csv", ldm)
    samples = root / "reports/samples"
    wave = [math.sin(k / 3) for k in range(50)]
    curves = {"own_true": wave, "own_made": wave, "foreign_key": HOSTILE}
    (samples / "openings.json").write_text(json.dumps({HOSTILE: curves}))
    pixels = np.tile(np.arange(256, dtype=np.uint8), (96, 5))[..., None].repeat(3, axis=2)
    cv2.imwrite(str(samples / "a clip's <b>.png"), pixels)
    write_clip(samples / "short.mp4", (np.full((64, 128, 3), k, np.uint8) for k in range(25)), 23)
    (samples / "long.mp4").write_bytes(b"x" * (MOST_VIDEO_BYTES + 1))
    return root


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    root = write_run(tmp_path_factory.mktemp("a run with spaces & <b>"))
    return build_training_report(root, Params())


def text_of(path: Path) -> str:
    return Page(path.read_text(encoding="utf-8")).text


def test_the_browser_opens_the_page_with_everything_on_it(page, tmp_path):
    dom = browse(tmp_path / "profile", "--dump-dom", page.as_uri())
    shown = Page(dom)
    assert "<title>lipforge: training report</title>" in dom
    assert not [tag for tag, _ in shown.tags if tag in ("script", "iframe", "object", "embed", "b")]
    assert not [name for _, a in shown.tags for name in a if name.startswith("on")]
    assert HOSTILE in shown.text
    assert shown.by_id["tile-loss"].split()[0] == "0.404"
    for words in (
        "0.812",
        "stand-in:whisper-tiny",
        "Noise",
        "Accuracy",
        "7.6 min",
        "Peak",
        "short",
    ):
        assert (words in shown.text) == (words != "Peak")


def test_nothing_is_loaded_from_outside_the_page(page):
    text = page.read_text(encoding="utf-8")
    shown = Page(text)
    loaded = [a["src"] for _, a in shown.tags if a.get("src")]
    assert len(loaded) == 2
    assert all(str(one).startswith("data:") for one in loaded)
    links = [a["href"] for tag, a in shown.tags if tag == "a"]
    assert "samples/a%20clip%27s%20%3Cb%3E.png" in links
    assert all(str(one).startswith(("#", "samples/")) for one in links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text


def test_both_stages_tell_what_they_looked_at_and_the_worst_verdict_stands_at_the_head(page):
    shown = Page(page.read_text(encoding="utf-8"))
    assert "9 GB lacking" in shown.text
    assert "7.6 min" in shown.text
    assert shown.by_id["tile-preflight"].split()[:2] == ["stop", "1"]


def test_stand_ins_are_named_in_red_at_the_head_and_where_they_stand(page):
    text = page.read_text(encoding="utf-8")
    head = text[: text.index("<main>")]
    assert "stand-in:blocks" in head
    assert "ldm.names.whisper" in head
    assert text.count('<span class="badge stand-in">') >= 4
    assert "--failed" in text
    assert list(stand_ins(METRICS)) == [("ldm.names.whisper", "stand-in:whisper-tiny")]


def test_every_drawing_and_table_has_words_for_those_who_do_not_see(page):
    shown = Page(page.read_text(encoding="utf-8"))
    assert all(a.get("aria-label") for tag, a in shown.tags if tag == "svg")
    assert all(a.get("alt") for tag, a in shown.tags if tag == "img")
    assert all(a.get("scope") for tag, a in shown.tags if tag == "th")


def test_same_files_give_the_same_bytes_in_another_folder(page, tmp_path):
    again = build_training_report(write_run(tmp_path / "other"), Params())
    assert again.read_bytes() == page.read_bytes()


def test_systems_stand_side_by_side_with_their_curves_and_samples(page, tmp_path):
    root = write_run(tmp_path / "run")
    samples = root / "reports/samples/stabilized"
    samples.mkdir()
    shutil.copy(root / "reports/samples/short.mp4", samples / "of the system.mp4")
    curves = {"own_true": [0.0, 1.0], "own_made": [0.0, 0.5]}
    (samples / "openings.json").write_text(json.dumps({"a clip": curves}))
    ldm = METRICS["ldm"]
    other = {**ldm, "size_px": 96, "listening": {**ldm["listening"], "own_r": 0.27}}
    metrics = {**METRICS, "systems": {"stabilized": other}}
    (root / "reports/metrics.json").write_text(json.dumps(metrics))
    write_curve(root / "reports/stabilized_curve.csv", ["train/generator/pixel"])
    text = build_training_report(root, Params()).read_text(encoding="utf-8")
    shown = Page(text)
    table = text[text.index('id="systems"') : text.index("<h3>stabilized</h3>")]
    assert [name in table for name in ("latentsync", "stabilized", "syncdiff")] == [1, 1, 0]
    row = table[table.index("<code>listening.own_r</code> <span", table.index("<thead>")) :].split(
        "</tr>"
    )[0]
    assert re.findall(r'class="num">([^<]*)<', row) == ["0.61", "0.27"]
    assert "Pixel" in shown.text
    assert "a clip, own sound" in shown.text
    links = [a["href"] for tag, a in shown.tags if tag == "a"]
    assert "samples/stabilized/of%20the%20system.mp4" in links
    assert len([one for one in links if "short.mp4" in str(one)]) == 1
    assert "Not trained, so not measured: syncdiff ." in shown.text
    assert "metrics.json: systems.stabilized.names.whisper" in text


def test_what_is_the_same_as_another_number_stands_right_below_it():
    names = sorted(MEANINGS)  # as metrics.json and the tables have them
    for above, name in pairwise(names):
        if MEANINGS[name].startswith("the same"):
            assert name.startswith(above.partition("_")[0]), (above, name)


def test_without_other_systems_one_line_says_so(page):
    shown = Page(page.read_text(encoding="utf-8"))
    assert "Not trained, so not measured: stabilized , syncdiff ." in shown.text
    assert 'id="systems"' not in page.read_text(encoding="utf-8")


def test_what_is_not_there_is_said_to_be_missing(tmp_path):
    text = text_of(build_training_report(tmp_path, Params()))
    for path in (
        "models/train_syncnet/preflight.json",
        "models/train_ldm/preflight.json",
        "reports/train_syncnet_curve.csv",
        "reports/train_ldm_curve.csv",
        "reports/metrics.json",
        "reports/samples",
        "models/train_ldm/model.json",
    ):
        assert f"Missing: {path} is not there" in text
    assert "train_ldm, profile tiny" in text


def test_a_file_that_is_no_json_stops_with_its_name(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text("{")
    with pytest.raises(ManifestError, match=r"metrics\.json: not JSON"):
        build_training_report(tmp_path, Params())
    (tmp_path / "reports/metrics.json").write_text("{}")
    (tmp_path / "reports/train_ldm_curve.csv").write_text("step,train/x\n0,many\n")
    with pytest.raises(ManifestError, match=r"train_ldm_curve\.csv: not a table of numbers"):
        build_training_report(tmp_path, Params())


def test_the_loss_is_drawn_against_what_knows_nothing():
    rows = [{"step": float(k), "validation/loss": 1.0 - 0.1 * k} for k in range(9)]
    (chart,) = syncnet_charts(rows)
    heights = [float(point.split(",")[1]) for point in chart.lines[0].points.split()]
    assert heights == sorted(heights)
    assert chart.reference is not None
    above = [loss > 0.693 for loss in (row["validation/loss"] for row in rows)]
    assert [height < chart.reference.x for height in heights] == above


def test_a_long_run_is_averaged_and_drawn_to_its_end():
    rows = [{"step": float(k), "train/x": float(k % 2)} for k in range(100_000)]
    (chart,) = term_charts(rows)
    assert len(chart.lines[0].points.split()) <= MOST_POINTS
    assert chart.lines[0].points.split()[-1].split(",")[0] == "320.0"
    assert float(chart.lines[0].last) == pytest.approx(0.5, abs=0.01)


def test_training_and_validation_of_one_term_share_a_drawing():
    rows = [
        {"step": 1.0, "train/unet/noise": 1.0, "validation/noise": 0.5, "train/unet/sync": None}
    ]
    (chart,) = term_charts(rows)
    assert [line.name for line in chart.lines] == ["train/unet/noise", "validation/noise"]


def test_a_peak_does_not_flatten_the_rest():
    rows = [{"step": float(k), "train/x": 1 + k / 100} for k in range(200)]
    rows[0]["train/x"] = 1e6
    (chart,) = term_charts(rows)
    assert chart.cut_off == "Peaks up to 1000000 are cut off."
    assert learning_chart([]) is None


def test_bars_hold_every_clip():
    before, after = offset_histograms(PREFLIGHT["findings"]["train"])
    assert [bar.accepted for bar in before.bars] == [1, 5]
    assert sum(bar.accepted for bar in after.bars) == 6
    assert len(after.limits) == 2
    assert after.bars[0].label == "\N{MINUS SIGN}0.25: 2 clips"


def test_versions_stand_side_by_side_and_nothing_is_lost():
    syncnet, compared, rest = metric_tables(without_listening(METRICS))
    assert compared.columns == ("real", "own")
    assert {row.name: [c.text for c in row.cells] for row in compared.rows}["ssim"] == ["1", "0.91"]
    named = {row.name: row.cells[0].text for row in rest.rows}
    assert named == {"names.whisper": "stand-in:whisper-tiny", "skipped": "none"}
    assert {row.name for row in syncnet.rows} == {"accuracy", "pairs", "split"}
    stand_in = {row.name: row.stand_in for row in compared.rows}
    assert stand_in["fid_stand_in.needed_samples"]


def test_the_section_listening_shows_what_the_mouths_follow_and_their_curves(page):
    shown = Page(page.read_text(encoding="utf-8"))
    assert shown.by_id["tile-listening"].split()[0] == "0.52"
    assert "leak_r 0.14, chance 0.03" in shown.by_id["tile-listening"]
    section = listening_section(METRICS, {"a": {"own_true": [0.0, 1.0], "own_made": [0.0, 0.5]}})
    cells = {row.name: [cell.text for cell in row.cells] for row in section.table.rows}
    assert cells["own_r"] == ["0.61", "0.07"]
    assert cells["kept_pixels_r"] == ["0.89", "\N{EN DASH}"]
    assert cells["vae_r"][0] == "\N{EN DASH}"
    (chart,) = section.charts
    assert [(line.name, line.last) for line in chart.lines] == [("true", "1"), ("made", "0.5")]
    assert chart.over == "frames"


def test_without_an_evaluation_listening_is_said_to_be_missing(tmp_path):
    assert listening_section({"ldm": {"own": {}}}, None) is None
    text = text_of(build_training_report(tmp_path, Params()))
    assert "Missing: ldm.listening of reports/metrics.json is not there" in text


def test_a_distance_has_a_meaning_and_the_name_of_its_network_none():
    distances = {name: {"fid": {"value": 1.0, "needed_samples": 9}} for name in ("own", "foreign")}
    compared, rest = metric_tables({"ldm": {**distances, "networks": {"fid": "inception"}}})
    meanings = {row.name: row.meaning for row in (*compared.rows, *rest.rows)}
    assert "less is closer" in meanings["fid.value"]
    assert meanings["networks.fid"] == ""


def test_many_samples_are_counted_but_not_all_shown(tmp_path):
    for number in range(MOST_SAMPLES + 3):
        (tmp_path / f"{number:03d}.png").write_bytes(b"no picture")
    found = read_samples(tmp_path)
    assert found is not None
    assert (len(found.shown), found.total) == (MOST_SAMPLES, MOST_SAMPLES + 3)
    assert found.shown[0].problem == "it does not decode"
