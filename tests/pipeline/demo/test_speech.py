import importlib
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from pipeline.demo import speech
from pipeline.demo.speech import Speech, SpeechError, speak


def loudness(said: Speech, start_s: float, end_s: float) -> float:
    part = said.samples[round(start_s * said.rate_hz) : round(end_s * said.rate_hz)]
    return float(np.sqrt(np.mean(part.astype(np.float64) ** 2)))


def test_phonemes_cover_the_sound_in_order(spoken: Speech) -> None:
    times = [phoneme.time_s for phoneme in spoken.phonemes]
    assert times == sorted(times)
    assert times[0] < 0.2
    assert spoken.duration_s - 0.1 < times[-1] <= spoken.duration_s + 0.01
    assert "".join(p.ipa for p in spoken.phonemes[:4]).startswith("m")


def test_vowels_are_louder_than_the_pauses_between_sentences(spoken: Speech) -> None:
    spans = list(pairwise(spoken.phonemes))
    vowels = [loudness(spoken, a.time_s, b.time_s) for a, b in spans if "ˈ" in a.ipa]  # noqa: RUF001
    pauses = [
        loudness(spoken, a.time_s + 0.05, b.time_s)
        for a, b in spans
        if not a.ipa and b.time_s - a.time_s > 0.15
    ]
    assert pauses
    assert min(vowels) > 20 * max(pauses)


def test_the_burst_of_p_comes_after_silence() -> None:
    said = speak("a papa", "en-us")
    times = [p.time_s for p in said.phonemes if p.ipa == "p"]
    for time_s in times:
        assert loudness(said, time_s - 0.025, time_s - 0.005) < 0.3 * loudness(
            said, time_s, time_s + 0.03
        )


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3"])  # variants use random numbers
def test_the_same_text_gives_the_same_samples_whatever_the_clock_and_what_was_said_before(
    voice: str,
) -> None:
    first = speak("Good morning", voice)
    speak("Etwas ganz anderes", "de")
    time.sleep(1.1)  # the synthesizer seeds its generator with the second it is started in
    again = speak("Good morning", voice)
    assert np.array_equal(first.samples, again.samples)
    assert first.phonemes == again.phonemes


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(SpeechError, match=r"'xx-nobody'.*no such voice"):
        speak("Good morning", "xx-nobody")


def test_without_the_extra_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SpeechError, match=r"pip install 'lipforge\[demo\]'"):
        speak("Good morning", "en-us")


def test_importing_the_module_does_not_load_the_synthesizer() -> None:
    loaded = sys.modules.pop("espeakng_loader", None)
    importlib.reload(speech)
    assert "espeakng_loader" not in sys.modules
    if loaded:
        sys.modules["espeakng_loader"] = loaded
