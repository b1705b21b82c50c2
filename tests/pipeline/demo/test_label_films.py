"""Films on which labels of the picture are measured: what is painted is what their truth says."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.demo.corpus import render_files
from pipeline.demo.film_rendering import prepare_film
from pipeline.demo.label_films import LABEL_FILMS
from pipeline.demo.occluders import Occluder, Stop
from pipeline.demo.scenario import Fault
from pipeline.demo.truth import FileTruth, read_truth
from pipeline.tables.rows import FPS
from tests.pipeline.demo.small import film

HAND = Occluder(kind="hand", stops=(Stop(10, 0.7, 0.0), Stop(15, 0.0, 0.0), Stop(30, 0.0, 0.0)))
MICROPHONE = replace(HAND, kind="microphone", stops=(Stop(10, 0.0, 0.0), Stop(20, 0.55, 0.1)))
FILMS = tuple(
    film(f"{name}.mp4", fault.kind, fault=fault, keep=False, muted=True)
    for name, fault in {
        "hand": Fault(kind="occluder", start=5, occluder=HAND),
        "microphone": Fault(kind="occluder", occluder=MICROPHONE),
        "jumps": Fault(kind="jump_cuts", start=12, jumps=((12, 3), (25, 9))),
    }.items()
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labels") / "demo"
    return render_files(out, FILMS, (), seed=3, workers=1).parent


@pytest.fixture(scope="module")
def truths(corpus: Path) -> dict[str, FileTruth]:
    return {one.uri: one for one in read_truth(corpus / "truth.json")}


def pictures(corpus: Path, uri: str) -> list[np.ndarray]:
    with av.open(str(corpus / "videos" / uri)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def painted(index: int, frame: int) -> np.ndarray:
    """The picture without its fault, at a frame of what was recorded."""
    prepared = prepare_film(FILMS[index], 3000 + index)
    plain = replace(prepared, film=replace(prepared.film, fault=None))
    return plain.paint(0, frame / FPS)[0]


def apart(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two).mean())


def test_what_is_hidden_is_known_on_every_frame_on_which_something_is_in_the_picture(
    truths: dict[str, FileTruth],
) -> None:
    (face,) = truths["hand.mp4"].faces
    hidden = dict(face.hidden)
    assert list(hidden) == list(range(5, truths["hand.mp4"].num_frames))
    assert [hidden[frame] for frame in (5, 9)] == [0.0, 0.0]
    assert min(hidden[frame] for frame in range(16, 30)) > 0.8
    (face,) = truths["microphone.mp4"].faces
    shares = [share for _, share in face.hidden]
    assert min(shares[:10]) > 0.8
    assert max(shares[20:]) == 0.0
    assert any(0.2 < share < 0.8 for share in shares[10:20])


def test_the_hand_is_in_the_picture_where_it_is_said_to_be_and_nowhere_else(corpus: Path) -> None:
    shown = pictures(corpus, "hand.mp4")
    assert apart(shown[2], painted(0, 2)) < 6.0
    assert apart(shown[25], painted(0, 25)) > 8.0
    eyes = slice(0, 70)
    assert apart(shown[25][eyes], painted(0, 25)[eyes]) < 6.0


def test_at_a_jump_cut_frames_are_missing_and_nothing_else_changes(
    corpus: Path, truths: dict[str, FileTruth]
) -> None:
    shown, truth = pictures(corpus, "jumps.mp4"), truths["jumps.mp4"]
    assert truth.jumps == ((12, 3), (25, 9))
    assert len(shown) == truth.num_frames == 47 - 12
    for frame, recorded in ((11, 11), (12, 15), (24, 27), (25, 37), (34, 46)):
        assert apart(shown[frame], painted(2, recorded)) < 6.0, frame
    assert truth.cuts == ()
    assert truth.transitions == ((12, 12), (25, 25))


def test_nothing_of_them_is_to_be_kept_and_nothing_is_heard(
    corpus: Path, truths: dict[str, FileTruth]
) -> None:
    for one in truths.values():
        (face,) = one.faces
        assert face.good == ()
        assert not face.should_be_kept
        assert not face.speech_matches
        with av.open(str(corpus / "videos" / one.uri)) as container:
            sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        assert np.abs(sound).max() < 0.01


def test_the_full_corpus_covers_mouths_by_hand_and_by_microphone_and_jumps_by_several_lengths() -> (
    None
):
    faults = [one.fault for one in LABEL_FILMS if one.fault]
    assert {one.occluder.kind for one in faults if one.occluder} == {"hand", "microphone"}
    assert len({missing for one in faults for _, missing in one.jumps}) == 6
    assert all(one.muted and not one.keep for one in LABEL_FILMS)
