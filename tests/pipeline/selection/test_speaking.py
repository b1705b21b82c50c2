import random
import time

import pytest

from pipeline.selection.speaking import Voice, losses
from tests.pipeline.selection.test_rules import PARAMS, candidate


def voice(name: str, track: int, start: int = 0, end: int = 100, **more: object) -> Voice:
    found = candidate(name, track=track, start_frame=start, end_frame=end, **more)
    assert found.sync is not None
    return Voice(found.clip, found.sync)


def losers(*voices: Voice) -> set[str]:
    return set(losses(voices, PARAMS))


def test_of_two_faces_on_one_soundtrack_the_surer_one_speaks():
    assert losers(voice("a", 0, probability=0.95), voice("b", 1, probability=0.97)) == {"a"}
    assert losers(voice("a", 0, probability=0.95), voice("b", 1, probability=0.2)) == {"b"}


def test_the_loser_is_told_against_which_clip_and_by_which_values():
    found = losses(
        [
            voice("a", 0, probability=0.98, confidence=0.4),
            voice("b", 1, probability=0.31, confidence=0.05),
        ],
        PARAMS,
    )
    assert found == {
        "b": "landmark: probability 0.31 (confidence 0.05), 0.98 (confidence 0.4) of a"
    }


def test_equal_probabilities_are_told_apart_by_confidence_then_by_name():
    assert losers(voice("a", 0, confidence=0.3), voice("b", 1, confidence=0.4)) == {"a"}
    assert losers(voice("a", 0), voice("b", 1)) == {"b"}


def test_nobody_loses_to_a_face_that_is_not_sure_itself():
    assert losers(voice("a", 0, probability=0.89), voice("b", 1, probability=0.2)) == set()


@pytest.mark.parametrize(
    ("start", "end", "lost"),
    [(50, 150, False), (49, 149, True), (0, 51, True), (0, 50, False), (100, 200, False)],
)
def test_a_clip_loses_only_when_more_than_half_of_its_own_time_is_shared(start, end, lost):
    listener = voice("b", 1, probability=0.1)
    assert losers(voice("a", 0, start, end), listener) == ({"b"} if lost else set())


def test_a_short_clip_can_lose_to_a_long_one_that_could_not_lose_to_it():
    long, short = voice("a", 0, 0, 250), voice("b", 1, 40, 120, probability=0.92)
    assert losers(long, short) == {"b"}
    surer = voice("b", 1, 40, 120, probability=0.99)
    assert losers(long, surer) == set()


def test_clips_of_one_track_or_of_two_videos_do_not_compete():
    assert losers(voice("a", 0), voice("b", 0, probability=0.1)) == set()
    assert losers(voice("a", 0), voice("b", 1, probability=0.1, video="other")) == set()


def test_equal_track_numbers_of_two_shots_are_two_tracks():
    """Shots do not overlap today; if a cut is found twice, the faces are still two."""
    assert losers(voice("a", 0, scene=0), voice("b", 0, scene=1, probability=0.1)) == {"b"}


def test_in_a_chain_of_overlaps_each_clip_is_decided_on_its_own():
    a = voice("a", 0, 0, 100, probability=0.99)
    b = voice("b", 1, 40, 140, probability=0.95)
    c = voice("c", 2, 80, 180, probability=0.91)
    assert losers(a, b, c) == {"b", "c"}
    assert losers(a, c) == set()
    assert losers(a, b) == {"b"}


def test_judges_are_not_compared_with_each_other():
    landmark = voice("a", 0, probability=0.99, confidence=0.3)
    syncnet = voice("b", 1, judge="syncnet", probability=None, confidence=7.0)
    assert losers(landmark, syncnet) == set()
    weaker = voice("c", 2, judge="syncnet", probability=None, confidence=5.0)
    assert losers(landmark, syncnet, weaker) == {"c"}


def test_the_order_of_the_clips_does_not_matter():
    draw = random.Random(0)
    voices = [
        voice(f"{i}", i, start, start + 90, probability=draw.choice([0.2, 0.93, 0.97]))
        for i, start in enumerate(draw.choices(range(300), k=40))
    ]
    expected = losses(voices, PARAMS)
    assert 0 < len(expected) < 40
    for _ in range(5):
        draw.shuffle(voices)
        assert losses(voices, PARAMS) == expected


def test_the_same_clips_lose_as_when_every_pair_is_compared():
    draw = random.Random(1)
    voices = [
        voice(f"{i:03}", draw.randrange(4), start, start + draw.randrange(75, 250), probability=p)
        for i, start in enumerate(draw.choices(range(2000), k=150))
        for p in [draw.random()]
    ]

    def loses(this: Voice) -> bool:
        return any(
            min(this.clip.end_frame, o.clip.end_frame)
            - max(this.clip.start_frame, o.clip.start_frame)
            > (this.clip.end_frame - this.clip.start_frame) / 2
            and o.clip.track != this.clip.track
            and (o.score.probability or 0) > max(this.score.probability or 0, 0.899999)
            for o in voices
        )

    assert losers(*voices) == {one.clip.clip_id for one in voices if loses(one)}


def test_a_film_of_many_hours_is_done_in_seconds():
    voices = [
        voice(f"{i:05}", i % 2, i * 50, i * 50 + 100, probability=0.95) for i in range(10_000)
    ]
    begin = time.process_time()
    assert losses(voices, PARAMS.model_copy(update={"not_speaking_overlap": 0.4}))
    assert time.process_time() - begin < 2.0


def test_an_overlap_of_one_switches_the_rule_off():
    voices = [voice("a", 0), voice("b", 1, probability=0.1)]
    assert losses(voices, PARAMS.model_copy(update={"not_speaking_overlap": 1.0})) == {}
    assert set(losses(voices, PARAMS.model_copy(update={"not_speaking_overlap": 0.99}))) == {"b"}
