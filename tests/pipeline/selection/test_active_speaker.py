import random
import time

import pytest

from pipeline.selection.active_speaker import ScoredClip, non_speakers
from tests.pipeline.selection.test_rules import PARAMS, candidate


def scored(name: str, track: int, start: int = 0, end: int = 100, **more: object) -> ScoredClip:
    found = candidate(name, track=track, start_frame=start, end_frame=end, **more)
    assert found.sync is not None
    return ScoredClip(found.clip, found.sync)


def silent(*clips: ScoredClip) -> set[str]:
    return set(non_speakers(clips, PARAMS))


def test_of_two_faces_on_one_soundtrack_the_surer_one_speaks():
    assert silent(scored("a", 0, probability=0.95), scored("b", 1, probability=0.97)) == {"a"}
    assert silent(scored("a", 0, probability=0.95), scored("b", 1, probability=0.2)) == {"b"}


def test_the_detail_names_the_active_speaker_and_both_confidences():
    found = non_speakers(
        [
            scored("a", 0, probability=0.98, confidence=0.4),
            scored("b", 1, probability=0.31, confidence=0.05),
        ],
        PARAMS,
    )
    assert found == {
        "b": "landmark: probability 0.31 (confidence 0.05), 0.98 (confidence 0.4) of a"
    }


def test_equal_probabilities_are_told_apart_by_confidence_then_by_name():
    assert silent(scored("a", 0, confidence=0.3), scored("b", 1, confidence=0.4)) == {"a"}
    assert silent(scored("a", 0), scored("b", 1)) == {"b"}


def test_nobody_loses_to_a_face_that_is_not_sure_itself():
    assert silent(scored("a", 0, probability=0.89), scored("b", 1, probability=0.2)) == set()


@pytest.mark.parametrize(
    ("start", "end", "lost"),
    [(50, 150, False), (49, 149, True), (0, 51, True), (0, 50, False), (100, 200, False)],
)
def test_a_clip_loses_only_when_more_than_half_of_its_own_time_is_shared(start, end, lost):
    listener = scored("b", 1, probability=0.1)
    assert silent(scored("a", 0, start, end), listener) == ({"b"} if lost else set())


def test_a_short_clip_can_lose_to_a_long_one_that_could_not_lose_to_it():
    long, short = scored("a", 0, 0, 250), scored("b", 1, 40, 120, probability=0.92)
    assert silent(long, short) == {"b"}
    more_confident = scored("b", 1, 40, 120, probability=0.99)
    assert silent(long, more_confident) == set()


def test_clips_of_one_track_or_of_two_videos_do_not_compete():
    assert silent(scored("a", 0), scored("b", 0, probability=0.1)) == set()
    assert silent(scored("a", 0), scored("b", 1, probability=0.1, video="other")) == set()


def test_equal_track_numbers_of_two_shots_are_two_tracks():
    """Shots do not overlap today; if a cut is found twice, the faces are still two."""
    assert silent(scored("a", 0, scene=0), scored("b", 0, scene=1, probability=0.1)) == {"b"}


def test_in_a_chain_of_overlaps_each_clip_is_decided_on_its_own():
    a = scored("a", 0, 0, 100, probability=0.99)
    b = scored("b", 1, 40, 140, probability=0.95)
    c = scored("c", 2, 80, 180, probability=0.91)
    assert silent(a, b, c) == {"b", "c"}
    assert silent(a, c) == set()
    assert silent(a, b) == {"b"}


def test_judges_are_not_compared_with_each_other():
    landmark = scored("a", 0, probability=0.99, confidence=0.3)
    syncnet = scored("b", 1, judge="syncnet", probability=None, confidence=7.0)
    assert silent(landmark, syncnet) == set()
    weaker = scored("c", 2, judge="syncnet", probability=None, confidence=5.0)
    assert silent(landmark, syncnet, weaker) == {"c"}


def test_the_order_of_the_clips_does_not_matter():
    draw = random.Random(0)
    clips = [
        scored(f"{i}", i, start, start + 90, probability=draw.choice([0.2, 0.93, 0.97]))
        for i, start in enumerate(draw.choices(range(300), k=40))
    ]
    expected = non_speakers(clips, PARAMS)
    assert 0 < len(expected) < 40
    for _ in range(5):
        draw.shuffle(clips)
        assert non_speakers(clips, PARAMS) == expected


def test_the_same_clips_lose_as_when_every_pair_is_compared():
    draw = random.Random(1)
    clips = [
        scored(f"{i:03}", draw.randrange(4), start, start + draw.randrange(75, 250), probability=p)
        for i, start in enumerate(draw.choices(range(2000), k=150))
        for p in [draw.random()]
    ]

    def loses(this: ScoredClip) -> bool:
        return any(
            min(this.clip.end_frame, o.clip.end_frame)
            - max(this.clip.start_frame, o.clip.start_frame)
            > (this.clip.end_frame - this.clip.start_frame) / 2
            and o.clip.track != this.clip.track
            and (o.score.probability or 0) > max(this.score.probability or 0, 0.899999)
            for o in clips
        )

    assert silent(*clips) == {one.clip.clip_id for one in clips if loses(one)}


def test_a_film_of_many_hours_is_done_in_seconds():
    clips = [
        scored(f"{i:05}", i % 2, i * 50, i * 50 + 100, probability=0.95) for i in range(10_000)
    ]
    begin = time.process_time()
    assert non_speakers(clips, PARAMS.model_copy(update={"not_speaking_overlap": 0.4}))
    assert time.process_time() - begin < 2.0


def test_an_overlap_of_one_switches_the_rule_off():
    clips = [scored("a", 0), scored("b", 1, probability=0.1)]
    assert non_speakers(clips, PARAMS.model_copy(update={"not_speaking_overlap": 1.0})) == {}
    assert set(non_speakers(clips, PARAMS.model_copy(update={"not_speaking_overlap": 0.99}))) == {
        "b"
    }
