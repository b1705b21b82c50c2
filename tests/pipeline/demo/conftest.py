"""One small corpus, rendered once for all tests of this folder."""

from pathlib import Path

import pytest

from pipeline.demo.articulation import articulate
from pipeline.demo.motion import move
from pipeline.demo.portrait import Framing, framed
from pipeline.demo.speech import Speech, speak
from pipeline.demo.talking_portrait import TalkingPortrait
from pipeline.errors import WeightsError
from pipeline.faces.litert import LiteRTBackend

LEAD_IN_S = 0.4


@pytest.fixture(scope="session")
def backend() -> LiteRTBackend:
    """Skip where `lipforge weights fetch` has not run."""
    try:
        return LiteRTBackend()
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def spoken() -> Speech:
    return speak("Mama, Papa. My boat moved above the bay.", "en-us+f3")


@pytest.fixture(scope="session")
def portrait(spoken: Speech) -> TalkingPortrait:
    duration_s = spoken.duration_s + 2 * LEAD_IN_S
    return TalkingPortrait(
        framed("hopper", Framing(320, 240, 80.0, (0.5, 0.55))),
        articulate(spoken.phonemes, duration_s, LEAD_IN_S),
        move(1, duration_s),
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render films of half the size that hold every fault of container, clock and picture."""
    from tests.pipeline.demo.small import render_small

    return render_small(tmp_path_factory.mktemp("demo") / "demo", workers=1)


@pytest.fixture(scope="session")
def films_in_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render small films that are good in part, one of each kind."""
    from pipeline.demo.corpus import render_files
    from tests.pipeline.demo.small import FAULT_FILMS

    return render_files(
        tmp_path_factory.mktemp("parts") / "demo", FAULT_FILMS, (), seed=3, workers=1
    ).parent
