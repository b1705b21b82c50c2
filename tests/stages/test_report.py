import base64
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.html.words import duration, share
from pipeline.media.flac import write_flac
from pipeline.params.curation import IngestParams, Params, ReportParams
from pipeline.player.on_page import script
from pipeline.report.histogram import histogram, measures
from pipeline.report.reported_clips import reported_clips
from pipeline.report.shown_clips import choose_clips
from pipeline.tables.funnel import funnel
from pipeline.tables.printable import visible
from pipeline.tables.rows import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from pipeline.tables.run_tables import RunTables
from stages.report import build_report
from tests.browser import Browser, browser, chromium
from tests.pipeline.quality.synthetic import moving, write_video
from tests.stages.fake_run import HOSTILE, write_run

FRAMES = 100
MEGABYTE = 1_000_000


class Page(HTMLParser):
    """The text, the attributes and the titles of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.by_id: dict[str, str] = {}
        self._ids: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if (name := dict(attrs).get("id")) is not None:
            self._ids.append(name)

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._ids and self._ids[-1]:
            self.by_id[self._ids[-1]] = self.by_id.get(self._ids[-1], "") + " " + data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return write_files(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, videos) -> tuple[Path, Path]:
    """Return data folder and page of a run with every ending and hostile names."""
    root = tmp_path_factory.mktemp("a run with spaces & <b>")
    write_run(root / "data")
    return root / "data", build_report(root / "data", root / "reports", Params(), opener(videos))


def write_files(folder: Path) -> Path:
    """Write the three files of a clip; a tone lies under frames 50 to 75."""
    write_video(folder / "clip.mp4", moving(FRAMES))
    time = np.arange(FRAMES * SAMPLES_PER_FRAME) / SAMPLE_RATE_HZ
    tone = np.where((time >= 2) & (time < 3), 0.3 * np.sin(2 * np.pi * 440 * time), 0)
    write_flac(folder / "clip.flac", np.rint(tone * 32767).astype(np.int16), SAMPLE_RATE_HZ)
    interpolated = np.arange(FRAMES) >= 75
    np.savez(folder / "clip.npz", scores=np.full(FRAMES, 0.9), interpolated=interpolated)
    return folder


def opener(folder: Path):
    return lambda key, name: folder / f"clip{Path(name).suffix}"


@pytest.fixture(scope="module")
def dom(run, tmp_path_factory) -> str:
    """Return the page as Chromium sees it after loading, serialised."""
    return browse(tmp_path_factory.mktemp("profile"), "--dump-dom", run[1].as_uri())


def browse(profile: Path, *arguments: str) -> str:
    quiet = ["gpu", "background-networking", "component-update", "sync", "extensions"]
    command = [chromium(), "--headless", "--no-sandbox", "--no-first-run"]
    command += [f"--disable-{name}" for name in quiet] + [f"--user-data-dir={profile}"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def test_the_browser_shows_the_funnel_and_its_numbers_add_up(run, dom):
    shown = Page(dom).by_id
    for line in funnel(RunTables(run[0]))["stages"]:
        numbers = [int(n) for n in re.findall(r"(?<= )\d+(?= )", shown[f"stage-{line['stage']}"])]
        total, *endings = numbers[:5]
        assert (total, sum(endings)) == (line["in"], line["in"])
        assert endings == [line[s] for s in ("kept", "rejected", "failed", "quarantined")]


def test_the_tiles_of_the_page_add_up_to_the_clips(run, dom):
    shown = Page(dom).by_id
    value = {n: int(shown[f"total-{n}"].split()[0]) for n in ("clips", "accepted", "rejected")}
    assert value["accepted"] + value["rejected"] == value["clips"] == 3 * len(HOSTILE)
    assert value["accepted"] == len(RunTables(run[0]).kept("shards"))


def test_hostile_file_names_are_shown_as_text_and_never_run(run, dom):
    page = Page(dom)
    assert re.search(r"<title>lipforge: curation report</title>", dom)
    assert not [tag for tag, _ in page.tags if tag in ("iframe", "object", "embed", "b")]
    assert re.findall(r"<script>(.*?)</script>", dom, re.DOTALL) == [script().text]
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    for uri in HOSTILE:
        assert visible(uri) in page.text
    assert "line\\nbreak \\u202e\\x1b[31m.mp4" in page.text
    assert "\u202e" not in dom


def test_nothing_outside_the_page_is_referenced(run):
    text = run[1].read_text(encoding="utf-8")
    page = Page(text)
    links = [a[n] for _, a in page.tags for n in ("src", "href", "srcset", "action") if a.get(n)]
    assert links
    assert all(str(link).startswith(("#", "data:")) for link in links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text


def test_every_picture_decodes_and_says_what_it_is(run):
    images = [a for tag, a in Page(run[1].read_text(encoding="utf-8")).tags if tag == "img"]
    assert len(images) == 8 * 3 * len(HOSTILE)
    for image in images:
        assert re.fullmatch(r"Aligned face at \d+\.\d\d s", image["alt"] or "")
    jpeg = base64.b64decode(str(images[0]["src"]).removeprefix("data:image/jpeg;base64,"))
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (112, 112, 3)


def test_the_browser_paints_the_pictures(run, tmp_path):
    shot = tmp_path / "page.png"
    size = ["--window-size=1000,5200", "--hide-scrollbars", f"--screenshot={shot}"]
    browse(tmp_path / "profile", *size, run[1].as_uri())
    painted = cv2.imread(str(shot), cv2.IMREAD_COLOR)
    pixels = painted[::3, ::3].reshape(-1, 3).astype(int)
    grey = (np.ptp(pixels, axis=1) <= 5) & (pixels[:, 0] > 60) & (pixels[:, 0] < 200)
    assert grey.mean() > 0.05  # the clips of the fake run are grey textures, the page is not


def test_every_table_and_drawing_has_words_for_those_who_do_not_see(run):
    page = Page(run[1].read_text(encoding="utf-8"))
    assert all(a.get("aria-label") for tag, a in page.tags if tag == "svg")
    assert all(a.get("scope") for tag, a in page.tags if tag == "th")
    assert page.tags[0] == ("html", {"lang": "en"})


def test_every_failure_and_every_reason_is_on_the_page(run):
    text = Page(run[1].read_text(encoding="utf-8")).text
    for words in (
        "empty_file",
        "worker_died",
        "signal 11 at <frame 3>",
        "duplicate",
        "<i>no bytes",
    ):
        assert words in text
    for reason in ("offset_too_large", "low_confidence", "face_too_small", "offset_not_fixed"):
        assert reason in text


def test_the_same_run_gives_the_same_bytes_in_another_folder(run, videos, tmp_path):
    write_run(tmp_path / "data")
    again = build_report(tmp_path / "data", tmp_path / "out", Params(), opener(videos))
    assert again.read_bytes() == run[1].read_bytes()
    assert not list(again.parent.glob("*.part"))


@pytest.mark.parametrize("tables", [False, True], ids=["no-tables", "no-clips"])
def test_a_run_without_clips_still_has_a_page(tmp_path, tables):
    if tables:
        write_run(tmp_path / "data", clips_each=0)
    path = build_report(tmp_path / "data", tmp_path / "reports", Params())
    text = Page(path.read_text(encoding="utf-8")).text
    assert "There are no clips." in text
    assert ("no_face" in text) == tables


def test_clips_whose_pictures_are_gone_are_shown_without(tmp_path):
    write_run(tmp_path / "data", clips_each=1)
    gone = opener(tmp_path / "emptied")
    path = build_report(tmp_path / "data", tmp_path / "reports", Params(), gone)
    text = path.read_text(encoding="utf-8")
    assert "the item cache was emptied" in text
    assert "<img" not in text


def test_ten_thousand_clips_stay_under_five_megabytes_and_their_films(tmp_path, videos):
    write_run(tmp_path / "data", [f"folder {n % 50}/video {n:05d}.mp4" for n in range(2500)], 4)
    few = Params(report=ReportParams(accepted_strips=2, rejected_strips=2))
    path = build_report(tmp_path / "data", tmp_path / "reports", few, opener(videos))
    films = sum(len(a["src"] or "") for tag, a in tags(path) if tag == "video")
    assert path.stat().st_size - films < 5 * MEGABYTE
    text = path.read_text(encoding="utf-8")
    assert "10\u202f000" in text
    assert "The first 1\u202f000 of 2\u202f503 files" in text


def test_the_strips_of_the_rejected_cover_all_reasons_before_any_repeats(run):
    clips = [c for c in reported_clips(RunTables(run[0])) if c.ending == "rejected"]
    reasons = {clip.reason for clip in clips}
    chosen = choose_clips(clips, lambda clip: clip.reason, len(reasons))
    assert {clip.reason for clip in chosen} == reasons
    assert chosen == choose_clips(reversed(clips), lambda clip: clip.reason, len(reasons))
    assert choose_clips(clips, lambda clip: clip.reason, 0) == []


def test_the_bars_of_a_histogram_hold_every_measured_clip(run):
    clips = reported_clips(RunTables(run[0]))
    for measure in measures(Params().select):
        drawn = histogram(measure, clips)
        measured = [clip for clip in clips if clip.value(measure.column) is not None]
        assert sum(bar.accepted + bar.rejected for bar in drawn.bars) == len(measured)
        assert len(drawn.bars) <= 33


def test_a_clip_that_shards_refused_is_rejected_although_select_kept_it(run):
    (refused,) = [
        clip for clip in reported_clips(RunTables(run[0])) if clip.reason == "offset_not_fixed"
    ]
    assert refused.ending == "rejected"
    assert refused.detail == "re-scored at +4"


def test_durations_and_shares_are_said_as_people_say_them():
    assert [duration(s) for s in (0, 7.5, 59.94, 200, 3600, 7500)] == [
        "0.0 s",
        "7.5 s",
        "59.9 s",
        "3 min 20 s",
        "1 h 00 min",
        "2 h 05 min",
    ]
    assert share(1, 3) == "33 %"
    assert share(0, 0) == "\u2013"


def test_a_signed_address_among_the_parameters_is_shown_without_its_signature(tmp_path):
    source = "https://host/list.jsonl?X-Amz-Signature=secret"
    params = Params(ingest=IngestParams(source=source))
    text = build_report(tmp_path, tmp_path, params).read_text(encoding="utf-8")
    assert "host/list.jsonl" in text
    assert "secret" not in text


PIXELS = """
window.pixels = (video) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 160;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.getContext("2d").getImageData(0, 0, 160, 160).data;
};
"""


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as found:
        found.open(run[1].as_uri())
        yield found


def test_a_clip_plays_in_a_browser_with_its_sound(page: Browser):
    assert page.run("document.querySelectorAll('video').length") == 3 * len(HOSTILE)
    page.run(PIXELS + "window.first = pixels(document.querySelector('video')); 0")
    page.run("document.querySelector('.keys button').click()")
    page.until("document.querySelector('video').currentTime > 0.5")
    changed = "pixels(document.querySelector('video')).filter((v, i) => v !== first[i]).length"
    assert page.run(PIXELS + changed) > 160 * 160 / 2
    assert page.run("document.querySelector('video').webkitAudioDecodedByteCount") > 0
    assert float(page.run("document.querySelector('.playhead').style.left").rstrip("%")) > 10
    page.run("document.querySelector('.keys button').click()")
    assert page.run("document.querySelector('video').paused")


def test_a_click_into_the_timeline_goes_there(page: Browser):
    page.run("""
      const tracks = document.querySelectorAll(".tracks")[1], box = tracks.getBoundingClientRect();
      const place = { clientX: box.left + box.width / 2, clientY: box.top + 5, bubbles: true };
      tracks.dispatchEvent(new MouseEvent("click", place));
    """)
    assert page.run("document.querySelectorAll('video')[1].currentTime") == pytest.approx(
        2, abs=0.02
    )


def test_what_does_not_fit_is_named_and_not_played(run, videos, tmp_path):
    one_film = len(str(next(a for tag, a in tags(run[1]) if tag == "video")["src"])) / MEGABYTE
    params = Params(report=ReportParams(clips_mb=4.5 * one_film))
    path = build_report(run[0], tmp_path, params, opener(videos))
    text = path.read_text(encoding="utf-8")
    assert 2 <= text.count("<video") <= 5
    assert text.count("<video") + text.count("not playable here") == 3 * len(HOSTILE)
    assert "of them do not play here" in text


def tags(path: Path) -> list[tuple[str, dict[str, str | None]]]:
    return Page(path.read_text(encoding="utf-8")).tags


def test_the_lanes_say_what_is_known_of_every_second(run):
    found = [a["aria-label"] or "" for tag, a in tags(run[1]) if tag == "svg"]
    lanes = [one for one in found if one.startswith(("Sync:", "Face:", "Damage:"))]
    assert "Sync: probability of being in sync, second by second: 0.97, 0.97, 0.97, 0.97" in lanes
    assert "Face: certainty of its landmarks, second by second: 0.90, 0.90, 0.90, 0.00" in lanes
    assert (
        "Damage: face lost or picture standing, second by second: 0.00, 0.00, 0.00, 1.00" in lanes
    )
